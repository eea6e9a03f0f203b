"""The aiohttp application: every route, around one `Shore`."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry

from bridge.web import admin, broadcast, probes, tap, websocket
from bridge.web.audit import AUDIT, Audit
from bridge.web.manager import CONNECTIONS, ConnectionManager
from bridge.web.probes import REGISTRY
from bridge.web.shore import SHORE, Shore
from bridge.web.tap import TAPS, Taps

PAGE: web.AppKey[str] = web.AppKey("PAGE", str)
PREFIX: web.AppKey[str] = web.AppKey("PREFIX", str)
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self' ws: wss:"
)


OPERATIONS: Final = (*admin.OPERATIONS, *broadcast.OPERATIONS, *tap.OPERATIONS)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the handlers need of a bridge."""

    shore: Shore
    connections: ConnectionManager
    taps: Taps
    audit: Audit
    registry: CollectorRegistry


def create_app(prefix: str) -> web.Application:
    """Every route; ``prefix`` is in front of all but probes and page. `equip` it before it serves."""
    app = web.Application()
    app[PREFIX] = prefix
    app[PAGE] = (files("bridge.web") / "static" / "index.html").read_text(encoding="utf-8")
    operations = [operation.route(prefix) for operation in OPERATIONS]
    app.add_routes([web.get("/", _page), *probes.routes(), *websocket.routes(prefix), *operations])
    return app


def equip(app: web.Application, parts: Parts) -> None:
    """Let the routes serve a bridge."""
    app[SHORE] = parts.shore
    app[CONNECTIONS] = parts.connections
    app[TAPS] = parts.taps
    app[AUDIT] = parts.audit
    app[REGISTRY] = parts.registry


async def _page(request: web.Request) -> web.Response:
    """Within another application, its routes are below where the page is."""
    prefix = request.path.removesuffix("/") + request.app[PREFIX]
    return web.Response(
        text=request.app[PAGE].replace("{{prefix}}", prefix),
        content_type="text/html",
        headers={"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"},
    )
