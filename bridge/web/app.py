"""The aiohttp application: every route, around one `Shore`."""

from collections.abc import AsyncIterator
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
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self' ws: wss:"
)


OPERATIONS: Final = (*admin.OPERATIONS, *broadcast.OPERATIONS, *tap.OPERATIONS)


def create_app(
    shore: Shore,
    connections: ConnectionManager,
    taps: Taps,
    audit: Audit,
    registry: CollectorRegistry,
    prefix: str,
) -> web.Application:
    """Every route; ``prefix`` is in front of all but probes and page."""
    app = web.Application()
    app[SHORE] = shore
    app[CONNECTIONS] = connections
    app[AUDIT] = audit
    app[TAPS] = taps
    app[REGISTRY] = registry
    app[PAGE] = (
        (files("bridge.web") / "static" / "index.html")
        .read_text(encoding="utf-8")
        .replace("{{prefix}}", prefix)
    )
    operations = [operation.route(prefix) for operation in OPERATIONS]
    app.add_routes([web.get("/", _page), *probes.routes(), *websocket.routes(prefix), *operations])
    app.cleanup_ctx.append(_running)
    return app


async def _running(app: web.Application) -> AsyncIterator[None]:
    async with app[SHORE].running():
        yield


async def _page(request: web.Request) -> web.Response:
    return web.Response(
        text=request.app[PAGE],
        content_type="text/html",
        headers={"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"},
    )
