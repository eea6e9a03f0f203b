"""The aiohttp application: every route, around one `Shore`."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry

from bridge.web import admin, broadcast, docs, probes, tap, websocket
from bridge.web.audit import AUDIT, Audit
from bridge.web.docs import DESCRIPTION
from bridge.web.manager import CONNECTIONS, ConnectionManager
from bridge.web.openapi import Route, Table, described
from bridge.web.plain import Plain
from bridge.web.probes import REGISTRY
from bridge.web.shore import SHORE, Shore
from bridge.web.tap import TAPS, Taps

PAGE: web.AppKey[str] = web.AppKey("PAGE", str)
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self' ws: wss:"
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the handlers need of a bridge."""

    shore: Shore
    connections: ConnectionManager
    taps: Taps
    audit: Audit
    registry: CollectorRegistry


def create_app(prefix: str) -> web.Application:
    """Every route; ``prefix`` is in front of all but probes and pages. `equip` it before it serves."""
    app = web.Application()
    app[PAGE] = _page_with(prefix)
    app.add_routes(route.route(before) for before, route in table(prefix))
    app[DESCRIPTION] = described(table(prefix))
    return app


def create_operator_app(parts: Parts) -> web.Application:
    """The probes and numbers of this process, for a port of their own."""
    app = web.Application()
    equip(app, parts)
    app.add_routes(route.route("") for route in probes.ROUTES)
    return app


def table(prefix: str) -> Table:
    """Every route, with what is in front of its path: the router and OpenAPI are made from it."""
    outside: tuple[Route, ...] = (_PAGE, *probes.ROUTES, *docs.ROUTES)
    inside: tuple[Route, ...] = (
        *websocket.ROUTES,
        *admin.OPERATIONS,
        *broadcast.OPERATIONS,
        *tap.OPERATIONS,
    )
    return [*(("", route) for route in outside), *((prefix, route) for route in inside)]


def equip(app: web.Application, parts: Parts) -> None:
    """Let the routes serve a bridge."""
    app[SHORE] = parts.shore
    app[CONNECTIONS] = parts.connections
    app[TAPS] = parts.taps
    app[AUDIT] = parts.audit
    app[REGISTRY] = parts.registry


async def _page(request: web.Request) -> web.Response:
    request.app[SHORE].entrance.check_host(request)
    return web.Response(
        text=request.app[PAGE],
        content_type="text/html",
        headers={"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"},
    )


def _page_with(prefix: str) -> str:
    """The page, which finds its routes below where it is itself: only a browser knows where that is."""
    page = (files("bridge.web") / "static" / "index.html").read_text(encoding="utf-8")
    return page.replace("{{prefix}}", f"{prefix}/".removeprefix("/"))


_PAGE: Final = Plain(
    name="page", path="/", summary="A page that shows events live", act=_page, refusals=(421,)
)
