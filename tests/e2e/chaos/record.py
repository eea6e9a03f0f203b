"""The record of a run: what the stream stored, written down while it was there.

Part of what is stored lives for minutes only, so the stream at the end of a long run is not the truth about
it. The record is read from NATS itself, never through a bridge, and not by an ordered consumer of nats-py,
which may begin anew.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import nats
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext

STREAM = "CREW_EVENTS"
_BATCH = 500
_FETCH_SECONDS = 2.0
_INTERVAL_SECONDS = 1.0
"""Between two readings: what is stored lives for minutes at least."""
_FAULTS = (NatsError, OSError, asyncio.TimeoutError)


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as the stream has it."""

    body: dict[str, Any]
    expires: float | None
    """When it may be gone, in seconds since 1970; None for what stays."""


Truth = dict[int, Stored]
"""What was stored, by its sequence number and in its order."""


class BrokenReadingError(Exception):
    """The consumer skipped a message: what was read is not all that is there."""


async def read(nats_url: str, after: int = 0) -> Truth:
    """Read everything behind ``after`` that the stream has now; raises rather than leave something out."""
    client = await nats.connect(nats_url.split(","), connect_timeout=2, max_reconnect_attempts=2)
    try:
        return await _read(client.jetstream(timeout=3), after)
    finally:
        await client.close()


async def _read(jetstream: JetStreamContext, after: int) -> Truth:
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=after + 1,
        ack_policy=AckPolicy.NONE,
        mem_storage=True,
        num_replicas=1,
    )
    subscription = await jetstream.pull_subscribe("", stream=STREAM, config=config)
    stored: Truth = {}
    count = 0
    while True:
        try:
            messages = await subscription.fetch(_BATCH, timeout=_FETCH_SECONDS)
        except NatsTimeoutError:
            if (await subscription.consumer_info()).num_pending == 0:
                return stored
            continue
        for message in messages:
            count += 1
            if message.metadata.sequence.consumer != count:
                raise BrokenReadingError
            lifetime = (message.headers or {}).get("Nats-TTL")
            stored_at = message.metadata.timestamp.timestamp()
            stored[message.metadata.sequence.stream] = Stored(
                json.loads(message.data), stored_at + _seconds(lifetime) if lifetime else None
            )
        if messages[-1].metadata.num_pending == 0:
            return stored


def _seconds(lifetime: str) -> float:
    """Of a ``Nats-TTL`` header: a number, or a number with its unit."""
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)):
        if lifetime.endswith(unit):
            return float(lifetime.removesuffix(unit)) * factor
    return float(lifetime)


class Record:
    """Grows by what was stored since it was last brought up to date."""

    def __init__(self, nats_url: str) -> None:
        self._nats_url = nats_url
        self._reading = asyncio.Lock()
        self.truth: Truth = {}

    async def update(self) -> None:
        """Add what is new; raises what NATS raises while it is away."""
        async with self._reading:
            self.truth |= await read(self._nats_url, max(self.truth, default=0))

    async def complete(self, seconds: float = 120.0) -> Truth:
        """Return everything, once the stream can be read; for when nothing is published any more."""
        async with asyncio.timeout(seconds):
            while True:
                with suppress(*_FAULTS, BrokenReadingError):
                    await self.update()
                    return self.truth
                await asyncio.sleep(_INTERVAL_SECONDS)

    async def follow(self) -> None:
        """Keep it up to date, whatever happens to NATS."""
        while True:
            with suppress(*_FAULTS, BrokenReadingError):
                await self.update()
            await asyncio.sleep(_INTERVAL_SECONDS)


@asynccontextmanager
async def recorded(nats_url: str) -> AsyncIterator[Record]:
    """A record that is kept as long as this lasts."""
    record = Record(nats_url)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(record.follow())
        yield record
        following.cancel()
