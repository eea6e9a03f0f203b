"""The feed: every message of the stream, in order, from where the ring begins to the head and on.

An ordered consumer of our own: push, no acknowledgements, idle heartbeats, flow control. Whatever breaks
it (a hole in the consumer's numbers, silence, a reconnect, a dropped message) ends this consumer, and the
next one begins behind the last message taken. nats-py's own ordered consumer does not survive its first
reset, so it is not used.
"""

import asyncio
from collections import Counter
from time import monotonic, time
from typing import Final, Protocol
from uuid import uuid4

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import DEFAULT_SUB_PENDING_MSGS_LIMIT, Subscription
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamConfig, StreamInfo, StreamState

from bridge.broker.connection import ConnectionEvents, end_if_cancelled
from bridge.broker.fitness import UnfitStreamError, differences, losses
from bridge.broker.replies import Control, parse_control, parse_reply
from bridge.broker.stream import StreamSettings, ensure_stream, epoch_of
from contracts.codec import StoredMessage
from contracts.messages import GapReason

log = structlog.get_logger(__name__)

MISSED_HEARTBEATS: Final = 2
"""This many idle heartbeats in a row not heard mean that the consumer is gone."""
_RETRY_SECONDS: Final = 0.5
_INACTIVE_SECONDS: Final = 30.0
"""The server forgets a consumer that nobody listens to after so long."""


class Sink(Protocol):
    """Who takes what the feed brings. Called in order, never waits, never raises."""

    def begin(self, epoch: str, floor: int) -> None:
        """The stream is new to us: what follows are its messages after ``floor``."""
        ...

    def message(self, message: StoredMessage) -> None:
        """The next message."""
        ...

    def gap(self, first: int, last: int, reason: GapReason) -> None:
        """The messages ``first``..``last`` are gone from the stream and never came here."""
        ...


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
        self._settings = settings
        self._sink = sink
        self._ring_bytes = ring_bytes
        self._heartbeat = heartbeat_seconds
        self._pending_messages = pending_messages
        self._epoch = ""
        self._consumption: Consumption | None = None
        self._goal = 0
        self.last_seq = 0
        self.pending = 0
        """Messages that the stream holds behind ``last_seq``, when the last message came."""
        self.is_caught_up = False
        """Whether everything that the stream held when the current consumer began was taken."""
        self.is_filled = False
        """Whether that was so once since the stream began: the ring holds what cursors may point at."""
        self.resets: Counter[str] = Counter()
        """How often a consumer ended, by reason."""
        self._stored_ns = 0
        self._current_at = monotonic()
        """When it was last known that nothing more was to come."""
        events.on_reconnect.append(lambda: self._end("reconnect"))
        events.on_overflow.append(self._overflow)

    @property
    def lag_seconds(self) -> float:
        """How long ago what was taken last was the head of the stream, as far as is known."""
        if self.is_caught_up and not self.pending:
            return 0.0
        return max(0.0, min(time() - self._stored_ns / 1e9, monotonic() - self._current_at))

    async def run(self, client: Client) -> None:
        """Read for ever; ends by cancellation only.

        Except that a stream which would lose events, found at the start, raises `UnfitStreamError`.
        """
        while True:
            end_if_cancelled()
            try:
                await self._consume(client)
            except (NatsError, TimeoutError, OSError) as error:
                self.resets["error"] += 1
                log.warning("feed interrupted", error=str(error) or type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _consume(self, client: Client) -> None:
        """One consumer's life."""
        info = await ensure_stream(client, self._settings)
        self._judge(info.config)
        self._align(info)
        consumption = Consumption(self, client)
        self._consumption = consumption
        inbox = client.new_inbox()
        subscription = await client.subscribe(
            inbox, cb=consumption.on_message, pending_msgs_limit=self._pending_messages
        )
        consumption.subscription = subscription
        try:
            name = await self._make_consumer(client, inbox)
            reason = await self._watch(consumption)
            log.warning("feed consumer ended", consumer=name, reason=reason)
            self.resets[reason] += 1
        finally:
            self.is_caught_up = False
            if not client.is_closed:
                await subscription.unsubscribe()

    def _judge(self, config: StreamConfig) -> None:
        """A bad stream stops the start; later, who is served is served on, whatever became of the stream."""
        bad = losses(config, self._settings)
        if bad and not self._epoch:
            raise UnfitStreamError(self._settings.name, bad)
        if bad:
            log.error("the stream loses events", stream=self._settings.name, why=list(map(str, bad)))
        elif not self._epoch and (other := differences(config, self._settings)):
            log.info("the stream is used as it is", stream=self._settings.name, other=list(map(str, other)))

    def _align(self, info: StreamInfo) -> None:
        """Find out what happened to the stream since the last consumer."""
        epoch = epoch_of(info)
        state = info.state
        self._goal = state.last_seq
        if epoch != self._epoch:
            self._epoch = epoch
            self.is_filled = False
            self.last_seq = _start(state, self._ring_bytes) - 1
            self._sink.begin(epoch, self.last_seq)
        elif state.first_seq > self.last_seq + 1:
            self._sink.gap(self.last_seq + 1, state.first_seq - 1, "retention")
            self.last_seq = state.first_seq - 1

    async def _make_consumer(self, client: Client, inbox: str) -> str:
        config = ConsumerConfig(
            name=f"bridge-feed-{uuid4().hex}",
            deliver_subject=inbox,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self.last_seq + 1,
            ack_policy=AckPolicy.NONE,
            max_deliver=1,
            flow_control=True,
            idle_heartbeat=self._heartbeat,
            inactive_threshold=_INACTIVE_SECONDS,
            mem_storage=True,
            num_replicas=1,
        )
        info = await client.jetstream().add_consumer(self._settings.name, config)
        if info.num_pending == 0:
            self._catch_up()
        return info.name

    async def _watch(self, consumption: "Consumption") -> str:
        """Wait until the consumer is at its end, and say why."""
        end_if_cancelled()
        silence = self._heartbeat * MISSED_HEARTBEATS
        while True:
            consumption.was_heard = False
            done, _ = await asyncio.wait([consumption.ended], timeout=silence)
            if done:
                return consumption.ended.result()
            if not consumption.was_heard:
                return "silence"

    def take(self, message: StoredMessage, pending: int) -> None:
        """The next message of the stream has come."""
        self.last_seq = message.seq
        self.pending = pending
        self._stored_ns = message.stored_ns
        self._sink.message(message)
        if pending == 0 or message.seq >= self._goal:
            self._catch_up()

    def idle(self) -> None:
        """The server says that it has nothing more."""
        self._current_at = monotonic()

    def _catch_up(self) -> None:
        self.is_caught_up = self.is_filled = True

    def _end(self, reason: str) -> None:
        if self._consumption is not None:
            self._consumption.end(reason)

    def _overflow(self, sid: int) -> None:
        if self._consumption is not None:
            self._consumption.overflowed(sid)


class Consumption:
    """One consumer's messages, in its own numbers; deaf once it has ended."""

    def __init__(self, feed: Feed, client: Client) -> None:
        self._feed = feed
        self._client = client
        self._last = 0
        self._why_hole = "hole"
        self.subscription: Subscription | None = None
        self.was_heard = False
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def on_message(self, message: Msg) -> None:
        """nats-py calls this for every message of the inbox, one after the other."""
        self.was_heard = True
        if self.ended.done():
            return
        control = parse_control(message.headers, message.reply)
        if control is None:
            self._take(message)
        else:
            await self._obey(control)
        if self._why_hole == "overflow" and self.subscription and not self.subscription.pending_msgs:
            self.end("overflow")

    def end(self, reason: str) -> None:
        """Hear nothing more; the first reason counts."""
        if not self.ended.done():
            self.ended.set_result(reason)

    def overflowed(self, sid: int) -> None:
        """Messages were dropped behind those that wait: these are still good, and bring the feed forward."""
        if self.subscription is not None and self.subscription._id == sid:
            self._why_hole = "overflow"

    def _take(self, message: Msg) -> None:
        delivered = parse_reply(message.reply)
        if delivered.consumer_seq != self._last + 1:
            self.end(self._why_hole)
            return
        self._last = delivered.consumer_seq
        stored = StoredMessage(message.subject, message.data, delivered.stream_seq, delivered.stored_ns)
        self._feed.take(stored, delivered.pending)

    async def _obey(self, control: Control) -> None:
        if control.last_consumer_seq is not None and control.last_consumer_seq != self._last:
            self.end(self._why_hole)
            return
        if control.last_consumer_seq is not None:
            self._feed.idle()
        if control.answer_to:
            await self._client.publish(control.answer_to)


def _start(state: StreamState, ring_bytes: int) -> int:
    """The ``seq`` from which on the stream holds about ``ring_bytes``, guessed from its average."""
    if state.bytes <= ring_bytes:
        return max(state.first_seq, 1)
    span = state.last_seq - state.first_seq + 1
    return state.last_seq + 1 - int(span * ring_bytes / state.bytes)
