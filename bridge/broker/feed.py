"""The feed: every message of the stream, in order, from where the ring begins to the head and on.

An ordered consumer of our own: push, no acknowledgements, idle heartbeats, flow control. Whatever breaks
it (a hole in the consumer's numbers, silence, a reconnect, a dropped message) ends this consumer, and the
next one begins behind the last message taken. nats-py's own ordered consumer does not survive its first
reset, so it is not used.
"""

import asyncio
from collections import Counter
from time import monotonic, time
from typing import Final

import structlog
from nats.aio.client import Client
from nats.aio.subscription import DEFAULT_SUB_PENDING_MSGS_LIMIT
from nats.js.api import StreamInfo, StreamState

from bridge.broker.advice import on_stream, refuse_old
from bridge.broker.api import Look, look_at
from bridge.broker.connection import FAULTS, ConnectionEvents, end_if_cancelled, revive
from bridge.broker.consumption import Consumption, ordered
from bridge.broker.express import at_once
from bridge.broker.fitness import judge
from bridge.broker.place import Place, Void, verdict
from bridge.broker.sink import Sink
from bridge.broker.stream import (
    AGES_APART,
    StreamSettings,
    ensure_stream,
    epoch_of,
    inactive_seconds,
)
from contracts.codec import StoredMessage
from contracts.positions import StreamPosition, nanoseconds

log = structlog.get_logger(__name__)

MISSED_HEARTBEATS: Final = 2
"""This many idle heartbeats in a row not heard mean that the consumer is gone."""
_RETRY_SECONDS: Final = 0.5
_POLL_SECONDS: Final = 0.05
_BEHIND_SECONDS: Final = 5.0
"""So long a stream may be behind what was read of it: a new leader takes up what was agreed on before."""
_PAUSE_SECONDS: Final = 1.0
"""A timer that is so late means that this process was stopped: what came meanwhile is to be read."""
_UNANSWERED: Final = {"silence", "error"}
_NOT_AT_ONCE: Final = {"behind", "error"}


class Feed:
    """Brings the stream to ``sink``.

    ``ring_bytes``: how much of its end to bring first. ``pending_messages``: how many may wait to be taken
    before messages are dropped, and read again.
    """

    def __init__(
        self,
        events: ConnectionEvents,
        settings: StreamSettings,
        sink: Sink,
        *,
        ring_bytes: int,
        heartbeat_seconds: float,
        pending_messages: int = DEFAULT_SUB_PENDING_MSGS_LIMIT,
    ) -> None:
        self._events = events
        self._settings = settings
        self._sink = sink
        self._ring_bytes = ring_bytes
        self._heartbeat = heartbeat_seconds
        self._pending_messages = pending_messages
        self._created = ""
        self._reborn = 0
        self._place = Place()
        self._void_after = 0
        """From there to ``last_seq`` the stream had nothing, or nothing any more."""
        self._behind_since: float | None = None
        self._consumption: Consumption | None = None
        self._goal = 0
        self._is_one_copy = False
        """What the consumer has is what the stream has; with several replicas it may be behind."""
        self.last_seq = 0
        self.pending = 0
        """Messages that the stream holds behind ``last_seq``, when the last message came."""
        self.is_caught_up = False
        """Whether everything that the stream held when the current consumer began was taken."""
        self.is_filled = False
        """Whether that was so once since the stream began: the ring holds what cursors may point at."""
        self.resets: Counter[str] = Counter()
        """How often a consumer ended, by reason."""
        self._current_at = monotonic()
        """When it was last known that nothing more was to come."""
        events.on_reconnect.append(lambda: self._end("reconnect"))
        events.on_overflow.append(self._overflow)

    @property
    def lag_seconds(self) -> float:
        """How long ago what was taken last was the head of the stream, as far as is known."""
        if self.is_caught_up and not self.pending:
            return 0.0
        return max(0.0, min(time() - self._place.stored_ns / 1e9, monotonic() - self._current_at))

    async def run(self, client: Client) -> None:
        """Read for ever; ends by cancellation only.

        Except that a stream which would lose events, found at the start, raises `UnfitStreamError`.
        """
        while True:
            end_if_cancelled()
            if not client.is_connected:
                await asyncio.sleep(_POLL_SECONDS)
                continue
            try:
                reason = await self._consume(client)
            except FAULTS as error:
                reason = "error"
                self._complain(client, error)
            self.resets[reason] += 1
            if reason in _UNANSWERED:
                await revive(client, self._heartbeat)
            if reason in _NOT_AT_ONCE:
                await asyncio.sleep(_RETRY_SECONDS)

    async def _consume(self, client: Client) -> str:
        """One consumer's life; returns why it ended, or did not begin."""
        self._events.denial = None
        refuse_old(client)
        info = await ensure_stream(client, self._settings)
        judge(info, self._settings, is_start=not self._created)
        if not await self._align(client, info):
            return "behind"
        consumption = Consumption(self, client)
        self._consumption = consumption
        inbox = client.new_inbox()
        subscription = await client.subscribe(
            inbox, cb=consumption.on_message, pending_msgs_limit=self._pending_messages
        )
        consumption.subscription = subscription
        try:
            with at_once(client, subscription, consumption.take_at_once):
                return await self._follow(client, consumption, inbox, inactive_seconds(info.config))
        finally:
            self.is_caught_up = False
            if not client.is_closed:
                await subscription.unsubscribe()

    async def _follow(self, client: Client, consumption: Consumption, inbox: str, inactive: float) -> str:
        made = await client.jetstream().add_consumer(
            self._settings.name, ordered(inbox, self.last_seq, self._heartbeat, inactive)
        )
        info = await client.jetstream().stream_info(self._settings.name)
        if epoch_of(info) != self._created:
            return "stream"
        self._sink.resume(nanoseconds(made.created))
        self._is_one_copy = (info.config.num_replicas or 1) == 1
        if made.delivered is not None and made.delivered.stream_seq > self.last_seq:
            self._lose(made.delivered.stream_seq)
        if self.last_seq >= self._goal or (self._is_one_copy and made.num_pending == 0):
            self._catch_up()
        self._events.problems.solved("feed")
        consumption.open()
        reason = await self._watch(consumption)
        log.warning("feed consumer ended", consumer=made.name, reason=reason)
        return reason

    async def _align(self, client: Client, info: StreamInfo) -> bool:
        """Find out what happened to the stream since the last consumer; whether it can be read on."""
        created, state = epoch_of(info), info.state
        void = Void(self._void_after, self.last_seq)
        fate = await verdict(client, info, self._place, void) if created == self._created else "another"
        if fate == "behind" and not self._has_waited():
            return False
        self._behind_since = None
        self._goal = state.last_seq
        if fate != "same":
            await self._begin(client, created)
        elif state.first_seq > self.last_seq + 1:
            self._lose(state.first_seq - 1)
        return True

    async def _begin(self, client: Client, created: str) -> None:
        """One that gives its numbers again is as old as before; only this bridge counts how often it did."""
        look = await look_at(client, self._settings.name)
        state = look.info.state
        self._goal = max(self._goal, state.last_seq)
        self._reborn = self._reborn + 1 if created == self._created else 0
        self._created, self._place = created, Place()
        self.is_filled = False
        self.last_seq = _start(state, self._ring_bytes) - 1
        self._void_after = 0 if self.last_seq < state.first_seq else self.last_seq
        now_ns = nanoseconds(look.now)
        end = StreamPosition(state.last_seq, look.newest_ns if look.newest_ns > 0 else now_ns)
        self._sink.begin(f"{created}-{self._reborn}", self.last_seq, end, now_ns)

    def _has_waited(self) -> bool:
        """Whether the stream had time to come to where it was."""
        self._behind_since = self._behind_since or monotonic()
        return monotonic() - self._behind_since > _BEHIND_SECONDS

    def _lose(self, last: int) -> None:
        self._sink.gap(self.last_seq + 1, last, "retention")
        self.last_seq = self._void_after = last

    async def _watch(self, consumption: "Consumption") -> str:
        """Wait until the consumer is at its end, and say why."""
        end_if_cancelled()
        silence = self._heartbeat * MISSED_HEARTBEATS
        while True:
            consumption.was_heard = False
            began = monotonic()
            done, _ = await asyncio.wait([consumption.ended], timeout=silence)
            if done:
                return consumption.ended.result()
            was_stopped = monotonic() - began > silence + _PAUSE_SECONDS
            if not consumption.was_heard and not was_stopped:
                return "silence"

    def take(self, message: StoredMessage, pending: int) -> None:
        """The next message of the stream has come."""
        self.last_seq = self._void_after = message.seq
        self.pending = pending
        self._place = Place(message.seq, message.stored_ns)
        self._sink.message(message)
        is_all = message.seq >= self._goal or (self._is_one_copy and pending == 0)
        if is_all and not self.is_caught_up:
            self._catch_up()

    def idle(self, last_seq: int) -> None:
        """The server says that it has nothing more, up to ``last_seq``."""
        self._current_at = monotonic()
        self.pending = 0
        self.pass_over(max(last_seq, self.last_seq))

    def pass_over(self, seq: int, stored_ns: int = 0) -> None:
        """The stream holds no event at ``seq``, nor any before it that has not come.

        ``stored_ns``: when what it holds there was stored, if it holds anything.
        """
        self.last_seq = seq
        if stored_ns:
            self._void_after, self._place = seq, Place(seq, stored_ns)
        self._sink.skip(seq, stored_ns)
        if seq >= self._goal:
            self.is_caught_up = self.is_filled = True

    async def look(self, client: Client) -> Look | None:
        """How the stream is now; None if it is another one."""
        look = await look_at(client, self._settings.name)
        return look if epoch_of(look.info) == self._created else None

    def explain(self, look: Look, upto: int) -> None:
        """What retention took of (``last_seq``, ``upto``) is a gap; what expired is not."""
        lost = min(look.first_seq, upto) - 1
        if self._may_be_forgotten_here(look):
            lost = upto - 1
        if lost > self.last_seq:
            self._lose(lost)

    def _may_be_forgotten_here(self, look: Look) -> bool:
        """Whether the replica that we read may have let go of something that the leader still has.

        What comes after the last message that was taken is no older than that.
        """
        if not look.age_apart or not self._place.seq:
            return False
        age = look.now.timestamp() - self._place.stored_ns / 1e9
        return age > look.age_apart - AGES_APART.total_seconds()

    def _catch_up(self) -> None:
        """Nothing is left of what the stream held when the consumer began; the end of it may have expired."""
        self.pass_over(max(self._goal, self.last_seq))

    def _complain(self, client: Client, error: Exception) -> None:
        """Until the feed works again; that there is no connection is told where one is made."""
        if client.is_connected:
            self._events.problems.tell("feed", on_stream(error, self._settings, self._events.denial))

    def _end(self, reason: str) -> None:
        if self._consumption is not None:
            self._consumption.end(reason)

    def _overflow(self, sid: int) -> None:
        if self._consumption is not None:
            self._consumption.overflowed(sid)


def _start(state: StreamState, ring_bytes: int) -> int:
    """The ``seq`` from which on the stream holds about ``ring_bytes``, guessed from its average."""
    if state.bytes <= ring_bytes:
        return max(state.first_seq, 1)
    span = state.last_seq - state.first_seq + 1
    return state.last_seq + 1 - max(int(span * ring_bytes / state.bytes), 1)
