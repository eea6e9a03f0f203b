"""The composition root: what a bridge is made of, and in which order its parts start and stop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter, time_ns
from typing import TypeVar

from bridge.archive import Archive
from bridge.broker.cluster import Cluster
from bridge.broker.connection import ConnectionEvents, stay_connected
from bridge.broker.feed import Feed
from bridge.broker.fitness import UnfitStreamError
from bridge.broker.history import History
from bridge.broker.publisher import Publisher
from bridge.broker.stream import StreamSettings
from bridge.census import Census
from bridge.config import EMBEDDED, Settings, default_instance
from bridge.core.connection import Connection
from bridge.core.histogram import Histogram
from bridge.core.history import Request
from bridge.core.hub import Hub
from bridge.core.log import Log
from bridge.core.pump import Pump
from bridge.delay import DELAY_MICROSECONDS, watch_delay
from bridge.embedded import embedded_server
from bridge.files import with_files_for
from bridge.garbage import PAUSE_MICROSECONDS, keep_tidy
from bridge.health import Health, tell_for_ever
from bridge.intake import Intake
from bridge.metrics import Sources, registry_of
from bridge.seeker import Seeker
from bridge.web.app import Parts, create_app, create_operator_app, equip
from bridge.web.audit import Audit
from bridge.web.desk import Desk, answerers
from bridge.web.fleet import Fleet
from bridge.web.manager import ConnectionManager
from bridge.web.moves import VERB as CAME
from bridge.web.server import listening
from bridge.web.shore import Limits, Shore
from bridge.web.tap import VERB as TAP
from bridge.web.tap import Taps, overhear
from bridge.web.websocket import ENDPOINTS
from contracts.catalog import families, open_family
from contracts.events import WebSocketEvent

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


class Bridge:
    """The parts, put together. Made inside a running event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._make_core(settings)
        self._make_shore_of_nats(settings)
        self._make_shore_of_browsers(settings)

    def _make_core(self, settings: Settings) -> None:
        loop = asyncio.get_running_loop()
        self.failure: asyncio.Future[None] = loop.create_future()
        self.pump = Pump(
            self._flush,
            soon=loop.call_soon,
            later=loop.call_later,
            clock=perf_counter,
            max_delay=settings.max_delay_seconds,
        )
        self.hub = Hub(
            Log(settings.ring_bytes),
            buffer_limit=settings.buffer_bytes,
            wake=self.pump.wake,
            full=self._on_full,
            fetch=self._on_fetch,
            now=time_ns,
            max_replay=settings.replay_max_events,
        )
        self.hub.counters.opened.update(dict.fromkeys(ENDPOINTS, 0))
        self.census = Census()
        self.loop_delay = Histogram(DELAY_MICROSECONDS)
        self.pauses = Histogram(PAUSE_MICROSECONDS)

    def _make_shore_of_nats(self, settings: Settings) -> None:
        self.archive = Archive(self.hub, at_once=settings.history_reads)
        self.seeker = Seeker(self.hub, self.archive)
        self.nats = ConnectionEvents()
        self.nats_history = ConnectionEvents()
        self.feed = Feed(
            self.nats,
            _stream(settings),
            Intake(self.hub, self._count),
            ring_bytes=settings.ring_bytes,
            heartbeat_seconds=settings.feed_heartbeat_seconds,
        )
        self.publisher = Publisher(settings.stream_name)

    def _make_shore_of_browsers(self, settings: Settings) -> None:
        self.shore = Shore(self.hub, _limits(settings), self._probe, self.seeker.seek)
        instance = settings.instance or default_instance()
        desk = Desk(self.shore, instance, seconds=settings.gather_seconds)
        self.cluster = Cluster(
            self.nats,
            instance,
            settings.stream_name,
            answerers(desk),
            {TAP: partial(overhear, desk)},
            {CAME: self.shore.moves.hear},
            seconds=settings.gather_seconds,
        )
        fleet = Fleet(desk, self.cluster)
        audit = Audit(instance, self.publisher, self.hub.counters, self.shore.spawn)
        connections, taps = ConnectionManager(fleet, self.publisher, audit), Taps(desk, fleet)
        sources = Sources(
            self.hub,
            self.feed,
            self.nats,
            self.nats_history,
            self.cluster,
            self.archive,
            self.publisher,
            self.census,
            self.loop_delay,
            self.pump.turns,
            self.pauses,
        )
        self.health = Health(instance, sources, lambda: self.shore.is_ready)
        self.parts = Parts(self.shore, connections, taps, audit, registry_of(sources))

    async def feed_for_ever(self, nats_url: str) -> None:
        """Bring the stream to the hub, as long as this runs; waits for NATS as long as it takes."""
        work = (self.feed.run, self.cluster.run, self.publisher.run)
        await stay_connected(nats_url, "crew-bridge", self.nats, *work)

    async def read_for_ever(self, nats_url: str) -> None:
        """Answer who looks back beyond the ring, on a connection of its own: the feed is not to wait."""
        name, size = self._settings.stream_name, self._settings.history_chunk_bytes
        await stay_connected(
            nats_url,
            "crew-bridge-history",
            self.nats_history,
            lambda client: self._read(History(client, name, max_bytes=size)),
        )

    async def _read(self, history: History) -> None:
        with self.seeker.asking(history):
            await self.archive.run(history.read)

    async def tell_for_ever(self) -> None:
        """Say on the stream how this bridge is."""
        await tell_for_ever(self.health, self.publisher.publish, self._settings.health_seconds)

    async def send_away(self) -> None:
        """Let nobody in any more, and everybody go."""
        await self.shore.send_away(self._settings.drain_seconds)

    def _flush(self) -> Iterator[None]:
        """A fault in here would leave connections without events and nobody the wiser: it ends the bridge."""
        try:
            yield from self.hub.flush()
        except Exception as error:
            if not self.failure.done():
                self.failure.set_exception(error)

    def _count(self, event: WebSocketEvent) -> None:
        """What fills the ring at the start happened before."""
        if self.feed.is_filled:
            self.census.count(event)

    def _on_full(self, connection: Connection) -> None:
        self.shore.on_full(connection)

    def _on_fetch(self, request: Request) -> None:
        self.archive.fetch(request)

    def _probe(self) -> Mapping[str, object]:
        feed, log = self.feed, self.hub.log
        return {"ready": feed.is_caught_up, "filled": feed.is_filled, "epoch": log.epoch, "head": log.head}


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
    async with listening(app, settings.host, settings.port, reuse_port=settings.reuse_port) as url:
        if settings.operator_port is None:
            yield url, url
            return
        operators = create_operator_app(bridge.parts)
        async with listening(operators, settings.host, settings.operator_port) as operator_url:
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
            tasks.create_task(watch_delay(bridge.loop_delay)),
            tasks.create_task(bridge.tell_for_ever()),
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


def _limits(settings: Settings) -> Limits:
    return Limits(
        buffer_bytes=settings.buffer_bytes,
        max_message_bytes=settings.max_message_bytes,
        max_errors=settings.max_errors,
        heartbeat_seconds=settings.heartbeat_seconds,
        stale_seconds=settings.stale_seconds,
        stalled_seconds=settings.stalled_seconds,
        allowed_origins=settings.allowed_origins,
        max_connections=with_files_for(settings.max_connections),
        connections_per_second=settings.max_connections_per_second,
        compress=settings.compression,
    )


def _stream(settings: Settings) -> StreamSettings:
    return StreamSettings(
        name=settings.stream_name,
        subjects=settings.stream_subjects or tuple(f"{family}.>" for family in sorted(families())),
        max_bytes=settings.stream_max_bytes,
        max_age_seconds=settings.stream_max_age_seconds,
        replicas=settings.stream_replicas,
        storage=settings.stream_storage,
    )
