"""What a bridge is made of: the parts, and who is given what."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from socket import gethostname
from time import monotonic, perf_counter, time_ns
from typing import Final

import structlog

from bridge.archive import Archive
from bridge.broker.cluster import Cluster
from bridge.broker.connection import ConnectionEvents, stay_connected
from bridge.broker.feed import Feed
from bridge.broker.fitness import LARGEST_SEQ, TOO_LARGE
from bridge.broker.history import History
from bridge.broker.problems import Problems
from bridge.broker.publisher import Publisher
from bridge.broker.stream import StreamSettings
from bridge.census import Census
from bridge.config import Settings, default_instance
from bridge.core.connection import Connection
from bridge.core.histogram import Histogram
from bridge.core.history import Request
from bridge.core.hub import Hub
from bridge.core.log import Log
from bridge.core.pauses import AwakeClock
from bridge.core.pump import Pump
from bridge.delay import DELAY_MICROSECONDS
from bridge.files import sockets_for, with_files_for
from bridge.garbage import PAUSE_MICROSECONDS
from bridge.health import Health, tell_for_ever
from bridge.intake import Intake
from bridge.metrics import Sources, registry_of
from bridge.seeker import Seeker
from bridge.web.app import Parts
from bridge.web.audit import Audit
from bridge.web.desk import Desk, answerers
from bridge.web.fleet import Fleet
from bridge.web.manager import ConnectionManager
from bridge.web.moves import VERB as TAKEOVER
from bridge.web.origin import Access
from bridge.web.shore import Limits, Shore
from bridge.web.tap import VERB as TAP
from bridge.web.tap import Taps, overhear
from bridge.web.websocket import ENDPOINTS
from contracts.catalog import families
from contracts.events import WebSocketEvent

log = structlog.get_logger(__name__)

_WATCH_SECONDS: Final = 1.0
_PROBE_SECONDS: Final = 30.0
_NO_PAST: Final = (
    "the stream's past cannot be read ({}): who comes back cannot be served. It takes room for a few "
    "short-lived consumers, in the limits of stream and account (max_consumers), and the permission to make, "
    "use and delete them ($JS.API.CONSUMER.>)"
)
_SHARE: Final = 0.8
"""Of the time for an answer, how much a bridge waits for an event: that it has not come is an answer too."""
_PAUSE_SECONDS: Final = 1.0
"""Twice as long without a turn of the event loop is a pause, in which nobody else was silent."""


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
        self.awake = AwakeClock(monotonic, _PAUSE_SECONDS)
        self.census = Census(self.awake)
        self.loop_delay = Histogram(DELAY_MICROSECONDS)
        self.pauses = Histogram(PAUSE_MICROSECONDS)

    def _make_shore_of_nats(self, settings: Settings) -> None:
        self.archive = Archive(self.hub, at_once=settings.history_reads)
        self.seeker = Seeker(self.hub, self.archive)
        self.problems = Problems()
        self.nats = ConnectionEvents(problems=self.problems)
        self.nats_history = ConnectionEvents(problems=self.problems, name="nats history")
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
        desk = Desk(self.shore, instance, seconds=settings.gather_seconds * _SHARE)
        self.cluster = Cluster(
            self.nats,
            instance,
            settings.stream_name,
            answerers(desk),
            {TAP: partial(overhear, desk)},
            {TAKEOVER: self.shore.moves.hear},
            seconds=settings.gather_seconds,
            clock=self.awake,
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
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.archive.run(history.read))
                tasks.create_task(self._watch_past(history))

    async def _watch_past(self, history: History) -> None:
        """Say so where the stream's past cannot be read, though the feed goes on; look again now and then.

        Once may be a stream that is being made anew.
        """
        failures = 0
        while True:
            self.archive.failed.clear()
            try:
                await history.probe()
            except ConnectionError:
                await asyncio.sleep(_WATCH_SECONDS)
            except OSError as error:
                failures += 1
                if self.feed.is_caught_up and failures > 1:
                    self.problems.tell("history", _NO_PAST.format(error), blocking=True)
                await asyncio.sleep(_WATCH_SECONDS)
            else:
                failures = 0
                self.problems.solved("history")
                await _set_within(self.archive.failed, _PROBE_SECONDS)

    async def tell_for_ever(self) -> None:
        """Say on the stream how this bridge is."""
        await tell_for_ever(self.health, self.publisher.publish, self._settings.health_seconds)

    async def watch_for_ever(self) -> None:
        """Say so where events get numbers that browsers do not count; the stream began with smaller ones."""
        while True:
            if self.hub.log.head > LARGEST_SEQ:
                self.problems.tell("numbers", f"the stream: {TOO_LARGE}", blocking=True)
            else:
                self.problems.solved("numbers")
            await asyncio.sleep(_WATCH_SECONDS)

    async def send_away(self) -> None:
        """Let nobody in any more, and everybody go."""
        log.info("draining", clients=len(self.hub.connections), within_seconds=self._settings.drain_seconds)
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
        is_ready, reason = feed.is_caught_up and not self.problems.is_blocking, self.problems.reason
        if not is_ready and reason is None:
            reason = "the feed has not caught up with the stream yet"
        place = {"epoch": log.created, "head": log.head}
        return {"ready": is_ready, "filled": feed.is_filled, "reason": reason} | place


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    """Wait for ``event``, but no longer than that."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _limits(settings: Settings) -> Limits:
    connections = with_files_for(settings.max_connections)
    return Limits(
        buffer_bytes=settings.buffer_bytes,
        max_message_bytes=settings.max_message_bytes,
        max_errors=settings.max_errors,
        heartbeat_seconds=settings.heartbeat_seconds,
        stale_seconds=settings.stale_seconds,
        stalled_seconds=settings.stalled_seconds,
        access=_access(settings),
        max_connections=connections,
        max_sockets=sockets_for(connections),
        connections_per_second=settings.max_connections_per_second,
        compress=settings.compression,
    )


def _access(settings: Settings) -> Access:
    """The bridge's own names are those that it listens on, its machine's, and what the operator says."""
    hosts = (settings.host, gethostname(), *settings.allowed_hosts)
    return Access.of(hosts, settings.allowed_origins, settings.public_url)


def _stream(settings: Settings) -> StreamSettings:
    return StreamSettings(
        name=settings.stream_name,
        subjects=settings.stream_subjects or tuple(f"{family}.>" for family in sorted(families())),
        max_bytes=settings.stream_max_bytes,
        max_age_seconds=settings.stream_max_age_seconds,
        replicas=settings.stream_replicas,
        storage=settings.stream_storage,
    )
