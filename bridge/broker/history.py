"""Reads of the stream's past: what some patterns select, from any place on, as much at once as is asked for.

Each read is a pull consumer of its own, without acknowledgements, that is deleted afterwards.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import uuid4

from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError, NotFoundError

from bridge.broker.api import API_SECONDS, ask, look_at
from bridge.broker.connection import FAULTS, end_if_cancelled, revive
from bridge.broker.consumption import NO_LIMIT
from bridge.broker.pull import Limits, Pull
from bridge.broker.replies import nanoseconds_of
from bridge.broker.stream import AGES_APART, inactive_seconds, is_of
from contracts.codec import StoredMessage
from contracts.subjects import ANY, Pattern

MAX_MESSAGES: Final = 5_000
"""Messages of one read, however small they are."""
_BARE: Final = "*.*"
_NANOSECONDS: Final = 1_000_000_000
_EVERYTHING: Final = frozenset({Pattern(ANY, ANY, ANY, ANY)})


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


class _Made(NamedTuple):
    """A consumer as the server made it."""

    name: str
    begins_after: int
    """It sends nothing up to this ``seq``: the copy of the stream that it reads begins there, or earlier."""
    pending: int
    """Messages that it would send."""
    config: Mapping[str, Any]


class History:
    """Reads the stream ``name``, at most ``max_bytes`` at once."""

    def __init__(self, client: Client, name: str, *, max_bytes: int) -> None:
        self._client = client
        self._jetstream = client.jetstream(timeout=API_SECONDS)
        self._name = name
        self._room = Limits(MAX_MESSAGES, max_bytes)
        self._inactive: float | None = None
        """After so long the server forgets a consumer that we could not delete; None: not known yet."""

    async def read(self, epoch: str, patterns: frozenset[Pattern], after: int, upto: int) -> Stretch:
        """What ``patterns`` select in (``after``, ``upto``], or the beginning of it.

        Takes seconds at most. Raises `OSError` where it cannot be had: no NATS, or not this stream any more.
        """
        try:
            return await self._read(epoch, patterns, after, upto)
        except OSError:
            await revive(self._client, API_SECONDS)
            raise

    async def _read(self, epoch: str, patterns: frozenset[Pattern], after: int, upto: int) -> Stretch:
        pull = Pull(after, upto)
        with self._as_os_errors():
            made = await self._bring(patterns, pull)
            first = await self._beginning(epoch, after)
        return _stretch(pull, after, max(first, made.begins_after + 1))

    async def probe(self) -> None:
        """Read the newest message. Raises `OSError`, with the server's words, where that cannot be done."""
        first, last = await self.span()
        with self._as_os_errors():
            if first <= last:
                await self._bring(_EVERYTHING, Pull(last - 1, last))
                return
            async with self._consumer(self._selecting(_EVERYTHING, last)):
                pass

    async def span(self) -> Span:
        """What there is. Raises `OSError` as `read` does; so do the others."""
        with self._as_os_errors():
            info = await self._jetstream.stream_info(self._name)
        return Span(max(info.state.first_seq, 1), info.state.last_seq)

    async def before(self, time_ns: int) -> int:
        """The last ``seq`` that was stored before ``time_ns``, in nanoseconds since 1970."""
        with self._as_os_errors():
            return await self._before(datetime.fromtimestamp(time_ns / _NANOSECONDS, UTC))

    async def stored_ns(self, seq: int) -> int | None:
        """When the message ``seq`` was stored, in nanoseconds since 1970; None if there is none."""
        with self._as_os_errors():
            try:
                found = await ask(self._client, f"STREAM.MSG.GET.{self._name}", {"seq": seq})
            except NotFoundError:
                return None
            return nanoseconds_of(found["message"]["time"])

    async def count(self, patterns: frozenset[Pattern], after: int) -> int:
        """How many messages after ``after`` a read of ``patterns`` would bring, now."""
        with self._as_os_errors():
            async with self._consumer(self._selecting(patterns, after)) as made:
                return made.pending

    async def _bring(self, patterns: frozenset[Pattern], pull: Pull) -> _Made:
        async with self._consumer(self._selecting(patterns, pull.scanned)) as made:
            await pull.run(self._client, self._name, made.name, self._room.granted(made.config), self._room)
        return made

    async def _beginning(self, epoch: str, after: int) -> int:
        """The ``seq`` from which on every copy of the stream surely has everything, and had while we read.

        The replicas of a stream with an age limit forget by timers of their own, and a read is served by any
        of them, while the leader says where the stream begins.
        """
        look = await look_at(self._client, self._name)
        if not is_of(look.info, epoch):
            raise OSError("the stream is another one")
        if look.first_seq > after + 1 or not look.age_apart:
            return look.first_seq
        doubtful = look.now - timedelta(seconds=look.age_apart) + AGES_APART
        if look.oldest > doubtful or await self._is_next_younger(after, doubtful):
            return look.first_seq
        return max(look.first_seq, await self._before(doubtful) + 1)

    async def _is_next_younger(self, after: int, than: datetime) -> bool:
        try:
            request = {"seq": after + 1, "next_by_subj": ">"}
            found = await ask(self._client, f"STREAM.MSG.GET.{self._name}", request)
        except NotFoundError:
            return True
        return datetime.fromisoformat(found["message"]["time"]) > than

    async def _before(self, time: datetime) -> int:
        config = self._config(deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=time)
        async with self._consumer(config) as made:
            return made.begins_after

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
            max_ack_pending=NO_LIMIT,
            mem_storage=True,
            num_replicas=1,
            **choice,
        )

    @asynccontextmanager
    async def _consumer(self, config: ConsumerConfig) -> AsyncIterator[_Made]:
        """A consumer for as long as this lasts; nats-py does not show the limits that the server sets it."""
        path = f"{self._name}.{config.name}"
        reply = await self._create(path, config)
        delivered = reply.get("delivered") or {}
        try:
            yield _Made(
                reply["name"],
                delivered.get("stream_seq", 0),
                reply.get("num_pending", 0),
                reply.get("config") or {},
            )
        finally:
            with suppress(*FAULTS):
                await ask(self._client, f"CONSUMER.DELETE.{path}")

    async def _create(self, path: str, config: ConsumerConfig) -> dict[str, Any]:
        """Within the stream's limits, which are asked for again once they do not hold any more."""
        if self._inactive is None:
            self._inactive = inactive_seconds((await self._jetstream.stream_info(self._name)).config)
        limited = config.evolve(inactive_threshold=self._inactive)
        request = {"stream_name": self._name, "config": limited.as_dict()}
        try:
            return await ask(self._client, f"CONSUMER.CREATE.{path}", request)
        except APIError:
            self._inactive = None
            raise


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


def _stretch(pull: Pull, after: int, first: int) -> Stretch:
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
