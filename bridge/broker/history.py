"""Reads of the stream's past: what some patterns select, from any place on, as much at once as is asked for.

Each read is a pull consumer of its own, without acknowledgements, that is deleted afterwards.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import uuid4

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy

from bridge.broker.connection import FAULTS, end_if_cancelled, revive
from bridge.broker.replies import is_stored, parse_reply
from bridge.broker.stream import is_of
from contracts.codec import StoredMessage
from contracts.subjects import ANY, Pattern

MAX_MESSAGES: Final = 5_000
"""Messages of one read, however small they are."""
_API_SECONDS: Final = 2.0
_PULL_SECONDS: Final = 2.0
_HEARTBEAT_SECONDS: Final = 0.02
"""A consumer that has nothing more says so after so long, and how far it has looked."""
_INACTIVE_SECONDS: Final = 30.0
"""The server forgets a consumer that we could not delete after so long."""
_BARE: Final = "*.*"
_NANOSECONDS: Final = 1_000_000_000
_IDLE: Final = "100"
_TOO_LARGE: Final = "Message Size Exceeds MaxBytes"


class Stretch(NamedTuple):
    """What the stream holds of a part of its past."""

    messages: list[StoredMessage]
    upto: int
    """Everything that was wanted up to this ``seq`` is here, or lost."""
    lost: tuple[int, int] | None
    """First and last ``seq`` of what retention took, or what expired, at the beginning of the stream."""


class Span(NamedTuple):
    """What the stream holds: messages from ``first`` to ``last``; if none, ``first`` is what comes next."""

    first: int
    last: int


class History:
    """Reads the stream ``name``, at most ``max_bytes`` at once."""

    def __init__(self, client: Client, name: str, *, max_bytes: int) -> None:
        self._client = client
        self._jetstream = client.jetstream(timeout=_API_SECONDS)
        self._name = name
        self._max_bytes = max_bytes

    async def read(self, epoch: str, patterns: frozenset[Pattern], after: int, upto: int) -> Stretch:
        """What ``patterns`` select in (``after``, ``upto``], or the beginning of it.

        Takes seconds at most. Raises `OSError` where it cannot be had: no NATS, or not this stream any more.
        """
        try:
            return await self._read(epoch, patterns, after, upto)
        except OSError:
            await revive(self._client, _API_SECONDS)
            raise

    async def _read(self, epoch: str, patterns: frozenset[Pattern], after: int, upto: int) -> Stretch:
        pull = _Pull(after, upto)
        with self._as_os_errors():
            await self._consume(patterns, pull)
            info = await self._jetstream.stream_info(self._name)
        if not is_of(info, epoch):
            raise OSError("the stream is another one")
        return _stretch(pull, after, info.state.first_seq)

    async def span(self) -> Span:
        """What there is. Raises `OSError` as `read` does; so do the others."""
        with self._as_os_errors():
            info = await self._jetstream.stream_info(self._name)
        return Span(max(info.state.first_seq, 1), info.state.last_seq)

    async def before(self, time_ns: int) -> int:
        """The last ``seq`` that was stored before ``time_ns``, in nanoseconds since 1970."""
        time = datetime.fromtimestamp(time_ns / _NANOSECONDS, UTC)
        config = self._config(deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=time)
        with self._as_os_errors():
            async with self._consumer(config) as info:
                return info.delivered.stream_seq if info.delivered is not None else 0

    async def count(self, patterns: frozenset[Pattern], after: int) -> int:
        """How many messages after ``after`` a read of ``patterns`` would bring, now."""
        with self._as_os_errors():
            async with self._consumer(self._selecting(patterns, after)) as info:
                return info.num_pending or 0

    async def _consume(self, patterns: frozenset[Pattern], pull: "_Pull") -> None:
        async with self._consumer(self._selecting(patterns, pull.scanned)) as info:
            inbox = self._client.new_inbox()
            subscription = await self._client.subscribe(inbox, cb=pull.on_message)
            try:
                await self._pull(info.name, inbox, pull)
            finally:
                with suppress(*FAULTS):
                    await subscription.unsubscribe()

    def _selecting(self, patterns: frozenset[Pattern], after: int) -> ConsumerConfig:
        return self._config(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=after + 1,
            filter_subjects=filters_of(patterns),
        )

    @contextmanager
    def _as_os_errors(self) -> Iterator[None]:
        """Without a connection requests would wait in vain."""
        if not self._client.is_connected:
            raise ConnectionError("there is no connection to NATS")
        try:
            yield
        except FAULTS as error:
            raise OSError(str(error) or type(error).__name__) from error
        finally:
            end_if_cancelled()

    @staticmethod
    def _config(**choice: Any) -> ConsumerConfig:
        """A consumer that nobody needs after a moment."""
        return ConsumerConfig(
            name=f"bridge-history-{uuid4().hex}",
            ack_policy=AckPolicy.NONE,
            inactive_threshold=_INACTIVE_SECONDS,
            mem_storage=True,
            num_replicas=1,
            **choice,
        )

    @asynccontextmanager
    async def _consumer(self, config: ConsumerConfig) -> AsyncIterator[ConsumerInfo]:
        info = await self._jetstream.add_consumer(self._name, config)
        try:
            yield info
        finally:
            with suppress(*FAULTS):
                await self._jetstream.delete_consumer(self._name, info.name)

    async def _pull(self, consumer: str, inbox: str, pull: "_Pull") -> None:
        """Ask for messages until there is something to show for it."""
        request = {"batch": MAX_MESSAGES, "max_bytes": self._max_bytes}
        if await self._ask(consumer, inbox, request, pull) == _TOO_LARGE and pull.is_empty:
            await self._ask(consumer, inbox, {"batch": 1}, pull)
        if pull.is_empty:
            raise TimeoutError("the stream does not answer")

    async def _ask(self, consumer: str, inbox: str, request: dict[str, int], pull: "_Pull") -> str:
        """One pull request; what ended it."""
        timing = {"expires": int(_PULL_SECONDS * 1e9), "idle_heartbeat": int(_HEARTBEAT_SECONDS * 1e9)}
        pull.begin(request["batch"])
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._name}.{consumer}"
        await self._client.publish(subject, json.dumps(request | timing).encode(), reply=inbox)
        await asyncio.wait([pull.ended], timeout=2 * _PULL_SECONDS)
        return pull.ended.result() if pull.ended.done() else "silence"


class _Pull:
    """What a consumer sends, in its own numbers; deaf once it has ended."""

    def __init__(self, after: int, upto: int) -> None:
        self._after = after
        self._upto = upto
        self._count = 0
        self._most = 0
        self.messages: list[StoredMessage] = []
        self.scanned = after
        """Everything up to it was sent, or is not wanted."""
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known yet that was not known before."""
        return self.scanned == self._after

    def begin(self, most: int) -> None:
        """A request for ``most`` messages."""
        self._most = self._count + most
        self.ended = asyncio.get_running_loop().create_future()

    async def on_message(self, message: Msg) -> None:
        """nats-py calls this for every message of the inbox, one after the other."""
        if self.ended.done():
            return
        if is_stored(message.reply):
            self._take(message)
            return
        headers = message.headers or {}
        status = headers.get("Status", "")
        if status == _IDLE:
            self._advance(int(headers["Nats-Last-Consumer"]), int(headers["Nats-Last-Stream"]))
        else:
            self.ended.set_result(headers.get("Description", status))

    def _take(self, message: Msg) -> None:
        delivered = parse_reply(message.reply)
        if delivered.consumer_seq != self._count + 1:
            self.ended.set_result("hole")
            return
        self._count += 1
        if delivered.stream_seq <= self._upto:
            stored = StoredMessage(message.subject, message.data, delivered.stream_seq, delivered.stored_ns)
            self.messages.append(stored)
        self.scanned = min(delivered.stream_seq, self._upto)
        if self.scanned == self._upto or self._count == self._most:
            self.ended.set_result("complete")

    def _advance(self, consumer_seq: int, stream_seq: int) -> None:
        """The consumer has looked at everything up to ``stream_seq``, and waits."""
        if consumer_seq != self._count:
            self.ended.set_result("hole")
            return
        self.scanned = max(self.scanned, min(stream_seq, self._upto))
        if self.scanned == self._upto:
            self.ended.set_result("complete")


def filters_of(patterns: Iterable[Pattern]) -> list[str]:
    """The patterns as a consumer's filters, empty if they select everything.

    All bare subjects are among them: ids, and audiences, of what is published there are in its body. None of
    the filters covers another: JetStream refuses that.
    """
    wanted = set(patterns)
    if Pattern(ANY, ANY, ANY, ANY) in wanted:
        return []
    scoped = {p for p in wanted if not any(o != p and o.covers(p) for o in wanted)}
    return [_BARE, *sorted(map(str, scoped))]


def _stretch(pull: _Pull, after: int, first: int) -> Stretch:
    """What was read, given that the stream now begins at ``first``.

    What lies before ``first`` and was not sent may have been there, and be gone: it is lost. Retention that
    moves on while we read can leave such holes between what was sent; then only what is before counts.
    """
    messages, upto = pull.messages, pull.scanned
    if first <= after + 1:
        return Stretch(messages, upto, None)
    if not messages:
        return Stretch([], max(upto, first - 1), (after + 1, first - 1))
    last = min(first, messages[0].seq) - 1
    lost = (after + 1, last) if last > after else None
    for number, message in enumerate(messages, 1):
        following = messages[number].seq if number < len(messages) else upto + 1
        if message.seq < first - 1 and following > message.seq + 1:
            return Stretch(messages[:number], message.seq, lost)
    return Stretch(messages, upto, lost)
