"""What machines ask a bridge: is it alive, is it ready, what are its numbers.

The first two are answered under every name: they tell nothing of crews, and balancers ask by any.
"""

from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from bridge.web.plain import Plain
from bridge.web.shore import SHORE

REGISTRY: web.AppKey[CollectorRegistry] = web.AppKey("REGISTRY", CollectorRegistry)


async def _alive(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _ready(request: web.Request) -> web.Response:
    shore = request.app[SHORE]
    body = {**shore.probe(), "ready": shore.is_ready, "draining": shore.is_draining}
    if shore.is_draining:
        body["reason"] = "the bridge is shutting down"
    return web.json_response(body, status=200 if shore.is_ready else 503)


async def _metrics(request: web.Request) -> web.Response:
    request.app[SHORE].entrance.check_host(request)
    return web.Response(
        body=generate_latest(request.app[REGISTRY]), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )


_JSON: Final = "application/json"
ROUTES: Final = (
    Plain(
        name="alive",
        path="/healthz",
        summary="Whether the process is alive",
        act=_alive,
        answers={200: _JSON},
    ),
    Plain(
        name="ready",
        path="/readyz",
        summary="Whether the feed has caught up with the stream",
        act=_ready,
        answers={200: _JSON, 503: _JSON},
    ),
    Plain(
        name="metrics",
        path="/metrics",
        summary="The numbers, for Prometheus",
        act=_metrics,
        answers={200: "text/plain"},
        refusals=(421,),
    ),
)
