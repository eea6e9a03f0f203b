"""A feed with a sink that writes down what it is brought."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from nats.aio.client import Client
from nats.protocol.parser import Parser

from bridge.broker.connection import ConnectionEvents, connected
from bridge.broker.feed import Feed
from bridge.broker.stream import StreamSettings
from contracts.codec import StoredMessage
from contracts.messages import GapReason
from contracts.positions import StreamPosition

NAME = "CREW_EVENTS"


def settings(*families: str, **changes: object) -> StreamSettings:
    """Small, for ``families`` (`task`, if none is named)."""
    chosen = {
        "name": NAME,
        "subjects": tuple(f"{family}.>" for family in families or ("task",)),
        "max_bytes": 1024**3,
        "max_age_seconds": 3600.0,
        "replicas": 1,
        "storage": "file",
    }
    return StreamSettings(**chosen | changes)  # type: ignore[arg-type]  # a test's own choice


@dataclass
class Notes:
    """What the feed brought, in order."""

    begins: list[tuple[str, int]] = field(default_factory=list)
    ends: list[tuple[StreamPosition, int]] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    passing: list[int] = field(default_factory=list)
    """Those that have a time to live."""
    resumed: list[int] = field(default_factory=list)
    gaps: list[tuple[int, int, str]] = field(default_factory=list)
    skipped: int = 0

    def begin(self, epoch: str, floor: int, end: StreamPosition, looked_ns: int) -> None:
        self.begins.append((epoch, floor))
        self.ends.append((end, looked_ns))

    def resume(self, looked_ns: int) -> None:
        self.resumed.append(looked_ns)

    def message(self, message: StoredMessage) -> None:
        self.seqs.append(message.seq)
        self.payloads.append(message.payload)
        if message.has_ttl:
            self.passing.append(message.seq)

    def skip(self, last: int, stored_ns: int) -> None:
        self.skipped = last

    def gap(self, first: int, last: int, reason: GapReason) -> None:
        self.gaps.append((first, last, reason))


@dataclass
class Reading:
    """A feed at work."""

    feed: Feed
    notes: Notes
    events: ConnectionEvents
    client: Client


@asynccontextmanager
async def reading(
    url: str, *, ring_bytes: int = 10**9, heartbeat: float = 1.0, pending_messages: int | None = None
) -> AsyncIterator[Reading]:
    """Run a feed, with a client of its own."""
    events, notes = ConnectionEvents(), Notes()
    limits = {} if pending_messages is None else {"pending_messages": pending_messages}
    feed = Feed(events, settings(), notes, ring_bytes=ring_bytes, heartbeat_seconds=heartbeat, **limits)
    async with connected(url, "test", events) as client, asyncio.TaskGroup() as tasks:
        if pending_messages is not None:
            client._ps = Parser(client)  # what is taken at once never waits, and only what waits is dropped
        running = tasks.create_task(feed.run(client))
        yield Reading(feed, notes, events, client)
        running.cancel()


async def fill(client: Client, count: int, size: int = 8, start: int = 1) -> None:
    """Publish ``count`` numbered messages; returns when the stream holds them."""
    jetstream = client.jetstream()
    before = (await jetstream.stream_info(NAME)).state.last_seq
    for number in range(start, start + count):
        await client.publish(f"task.completed.c.e{number % 10}", b"%0*d" % (size, number))
    async with asyncio.timeout(30):
        while (await jetstream.stream_info(NAME)).state.last_seq < before + count:
            await client.flush()
