"""The description of the routes: for machines, and as a page for people."""

from importlib.resources import files
from typing import Any, Final

from aiohttp import web

from bridge.web.plain import Plain
from bridge.web.shore import SHORE

DESCRIPTION: web.AppKey[dict[str, Any]] = web.AppKey("DESCRIPTION", dict)
_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'"
)


async def _openapi(request: web.Request) -> web.Response:
    """The paths are below where this is: within another application, or where a proxy publishes it."""
    request.app[SHORE].entrance.check_host(request)
    description = request.app[DESCRIPTION]
    return web.json_response({**description, "servers": [{"url": "."}]})


async def _docs(request: web.Request) -> web.Response:
    request.app[SHORE].entrance.check_host(request)
    return web.Response(
        text=_page(),
        content_type="text/html",
        headers={"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"},
    )


def _page() -> str:
    return (files("bridge.web") / "static" / "docs.html").read_text(encoding="utf-8")


ROUTES: Final = (
    Plain(
        name="openapi",
        path="/openapi.json",
        summary="This description",
        act=_openapi,
        answers={200: "application/json"},
        refusals=(421,),
    ),
    Plain(name="docs", path="/docs", summary="This description, to read", act=_docs, refusals=(421,)),
)
