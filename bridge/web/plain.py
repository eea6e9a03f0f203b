"""A route that answers in a form of its own: a page, a probe, a WebSocket."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web
from pydantic import BaseModel

from bridge.web.operation import Nothing, matching


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A GET, and how OpenAPI is to tell of it."""

    name: str
    path: str
    summary: str
    act: Callable[[web.Request], Awaitable[web.StreamResponse]]
    query: type[BaseModel] = Nothing
    answers: Mapping[int, str] = field(default_factory=lambda: {200: "text/html"})
    """Media types by status; empty where there is no body."""
    refusals: tuple[int, ...] = ()
    method: str = "GET"

    def route(self, prefix: str) -> web.RouteDef:
        """Its place in the router, under ``prefix``."""
        return web.get(prefix + matching(self.path), self.act, allow_head=True)
