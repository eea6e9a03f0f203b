"""What machines ask a bridge: is it alive, is it ready, what are its numbers."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from bridge.web.shore import SHORE

REGISTRY: web.AppKey[CollectorRegistry] = web.AppKey("REGISTRY", CollectorRegistry)


def routes() -> list[web.RouteDef]:
    """Probes stand outside the prefix."""
    return [web.get("/healthz", _alive), web.get("/readyz", _ready), web.get("/metrics", _metrics)]


async def _alive(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _ready(request: web.Request) -> web.Response:
    shore = request.app[SHORE]
    body = {**shore.probe(), "ready": shore.is_ready, "draining": shore.is_draining}
    return web.json_response(body, status=200 if shore.is_ready else 503)


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(
        body=generate_latest(request.app[REGISTRY]), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )
