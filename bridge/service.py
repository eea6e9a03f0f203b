"""In which order a bridge's parts start and stop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from bridge.assembly import Bridge
from bridge.broker.fitness import UnfitStreamError
from bridge.config import EMBEDDED, Settings
from bridge.delay import watch_delay
from bridge.embedded import embedded_server
from bridge.files import OPERATORS
from bridge.garbage import keep_tidy
from bridge.web.app import create_app, create_operator_app, equip
from bridge.web.server import listening
from contracts.catalog import open_family

__all__ = ["Bridge", "Running", "UnfitStreamError", "at_work", "open_families", "running"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Running:
    """A bridge at work."""

    url: str
    """Where its page is."""
    nats_url: str
    """Where crews publish."""
    operator_url: str = ""
    """Where this process alone answers, for Prometheus."""


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """A bridge that listens, from its start to its end."""
    async with at_work(settings, partial(_listening, settings)) as ((url, operator_url), nats_url):
        yield Running(url, nats_url, operator_url)


@asynccontextmanager
async def _listening(settings: Settings, bridge: Bridge) -> AsyncIterator[tuple[str, str]]:
    """Where everybody, and where operators reach the bridge."""
    app = create_app(settings.prefix)
    equip(app, bridge.parts)
    room, reuse_port = bridge.shore.limits.max_sockets, settings.reuse_port
    async with listening(app, settings.host, settings.port, room=room, reuse_port=reuse_port) as url:
        if settings.operator_port is None:
            yield url, url
            return
        operators = create_operator_app(bridge.parts)
        port = settings.operator_port
        async with listening(operators, settings.host, port, room=OPERATORS) as operator_url:
            yield url, operator_url


@asynccontextmanager
async def at_work(
    settings: Settings, serve: Callable[[Bridge], AbstractAsyncContextManager[T]]
) -> AsyncIterator[tuple[T, str]]:
    """A bridge that ``serve`` lets be reached: what that says, and where NATS is.

    Stops in the opposite order: not ready any more, clients are sent away one after the other while events
    still come, intake ends, the server closes, NATS last.
    """
    open_families(settings)
    async with _alone(), AsyncExitStack() as stack:
        nats_url = settings.nats_url
        if nats_url == EMBEDDED:
            nats_url = await stack.enter_async_context(
                embedded_server(settings.data_dir, settings.embedded_port)
            )
        bridge = Bridge(settings)
        await stack.enter_async_context(bridge.shore.running())
        served = await stack.enter_async_context(serve(bridge))
        await stack.enter_async_context(_feeding(bridge, nats_url))
        stack.push_async_callback(bridge.send_away)
        yield served, nats_url


def open_families(settings: Settings) -> None:
    """Let the operator's own families pass, in this process."""
    for family in settings.extra_families:
        open_family(family)


@asynccontextmanager
async def _feeding(bridge: Bridge, nats_url: str) -> AsyncIterator[None]:
    """What ends the feed or the bridge ends this."""
    async with asyncio.TaskGroup() as tasks:
        working = [
            tasks.create_task(bridge.feed_for_ever(nats_url)),
            tasks.create_task(bridge.read_for_ever(nats_url)),
            tasks.create_task(watch_delay(bridge.loop_delay, bridge.awake)),
            tasks.create_task(bridge.tell_for_ever()),
            tasks.create_task(bridge.problems.repeat_for_ever()),
            tasks.create_task(bridge.watch_for_ever()),
            tasks.create_task(bridge.shore.moves.tell_for_ever(bridge.cluster.tell)),
            tasks.create_task(keep_tidy(bridge.hub.counters, bridge.pauses)),
            tasks.create_task(_raise_when_failed(bridge)),
        ]
        try:
            yield
        finally:
            for task in working:
                task.cancel()


@asynccontextmanager
async def _alone() -> AsyncIterator[None]:
    """One fault is no group of faults: it is raised as it is."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None


async def _raise_when_failed(bridge: Bridge) -> None:
    await bridge.failure
