"""The bridge inside an aiohttp application of your own.

``parent.add_subapp("/bridge", app)`` with ``app = create_app()``: it starts and stops with the parent. Its
`ConnectionManager` is ``app[CONNECTIONS]``, once it has started.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from bridge.config import Settings, load
from bridge.service import Bridge, at_work
from bridge.web.app import create_app as routed
from bridge.web.app import equip
from bridge.web.manager import CONNECTIONS, ConnectionManager

log = structlog.get_logger(__name__)

__all__ = ["CONNECTIONS", "ConnectionManager", "Settings", "create_app"]


def create_app(settings: Settings | None = None) -> web.Application:
    """The bridge as an application with a lifecycle of its own, to be run or to be added to another.

    ``settings`` are by default those of the ``BRIDGE_*`` variables; where it listens, and how large the
    buffers of sockets are, is the parent's business. Its clients are sent away when the parent shuts down.
    """
    chosen = load() if settings is None else settings
    app = routed(chosen.prefix)
    life = _Life(app, chosen)
    app.cleanup_ctx.append(life.lasts)
    app.on_shutdown.append(life.send_away)
    return app


class _Life:
    """The bridge in a task of its own: aiohttp may start and clean up in different ones."""

    def __init__(self, app: web.Application, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._bridge: Bridge | None = None
        self._begun = asyncio.Event()
        self._stop = asyncio.Event()

    async def lasts(self, _: web.Application) -> AsyncIterator[None]:
        """From the parent's start to its cleanup. What keeps the bridge from starting is raised at once."""
        living = asyncio.get_running_loop().create_task(self._live())
        living.add_done_callback(self._ended)
        try:
            await self._begun.wait()
            if living.done():
                living.result()
            yield
        finally:
            self._stop.set()
            await living

    async def send_away(self, _: web.Application) -> None:
        """Let nobody in any more, and everybody go."""
        if self._bridge is not None:
            await self._bridge.send_away()

    async def _live(self) -> None:
        async with at_work(self._settings, self._serve):
            self._begun.set()
            await self._stop.wait()

    @asynccontextmanager
    async def _serve(self, bridge: Bridge) -> AsyncIterator[None]:
        self._bridge = bridge
        equip(self._app, bridge.parts)
        yield

    def _ended(self, living: asyncio.Task[None]) -> None:
        self._begun.set()
        if not living.cancelled() and living.exception() is not None:
            log.critical("the bridge has failed", error=str(living.exception()))
