"""One consumer's messages, in its own numbers: taken in order, or not at all."""

import asyncio
from typing import Final, Protocol
from uuid import uuid4

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from bridge.broker.api import Look
from bridge.broker.connection import FAULTS
from bridge.broker.express import utf8
from bridge.broker.replies import (
    MARKER_REASON,
    TTL,
    Control,
    Delivered,
    has_ttl,
    is_delete_marker,
    parse_control,
    parse_reply,
)
from contracts.codec import StoredMessage

NO_LIMIT: Final = -1
"""Of messages that wait for an acknowledgement, where none is wanted: left out, a stream's own limit would be
taken, and the consumer refused for it."""


def ordered(inbox: str, after: int, heartbeat_seconds: float, inactive_seconds: float) -> ConsumerConfig:
    """A consumer that sends everything behind ``after`` to ``inbox``, in order, and says that it lives.

    The server forgets it where nobody has listened to it for ``inactive_seconds``.
    """
    return ConsumerConfig(
        name=f"bridge-feed-{uuid4().hex}",
        deliver_subject=inbox,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=after + 1,
        ack_policy=AckPolicy.NONE,
        max_deliver=1,
        flow_control=True,
        idle_heartbeat=heartbeat_seconds,
        inactive_threshold=inactive_seconds,
        max_ack_pending=NO_LIMIT,
        mem_storage=True,
        num_replicas=1,
    )


_TTL: Final = f"\r\n{TTL}:".encode()
_NO_TTL: Final = _TTL + b" never\r\n"
_WITH_REPLY: Final = {b"MSG": 5, b"HMSG": 6}
"""How many words a message has that says where it is in the stream."""


def _delivered(words: list[bytes]) -> Delivered | None:
    """Where the message is in its stream and consumer; None if it does not say so."""
    if len(words) != _WITH_REPLY.get(words[0]):
        return None
    try:
        return parse_reply(words[3].decode())
    except ValueError:
        return None


class Reader(Protocol):
    """Who reads the stream, consumer after consumer."""

    last_seq: int
    """The last place of the stream that is dealt with."""

    def take(self, message: StoredMessage, pending: int) -> None:
        """The next message; behind it the consumer has ``pending`` more."""
        ...

    def idle(self, last_seq: int) -> None:
        """The consumer has nothing more, up to ``last_seq``."""
        ...

    def pass_over(self, seq: int, stored_ns: int) -> None:
        """The message ``seq`` comes next, and is no event."""
        ...

    async def look(self, client: Client) -> Look | None:
        """How the stream is now; None if it is another one."""
        ...

    def explain(self, look: Look, upto: int) -> None:
        """Between ``last_seq`` and ``upto`` nothing was sent, as ``look``, taken after that, lets explain."""
        ...


class Consumption:
    """What one consumer sends; deaf until it is opened, and once it has ended."""

    def __init__(self, reader: Reader, client: Client) -> None:
        self._reader = reader
        self._client = client
        self._last = 0
        self._why_hole = "hole"
        self._look: Look | None = None
        """How the stream was when it was last asked."""
        self._explained = 0
        """So many of the next messages were sent before that."""
        self._open = asyncio.Event()
        self._is_at_work = False
        self.subscription: Subscription | None = None
        self.was_heard = False
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def open(self) -> None:
        """Take what has come, and what comes."""
        self._open.set()

    def take_at_once(self, words: list[bytes], data: bytes, begin: int) -> bool:
        """Take the next message of the stream if nothing is before it, and nothing is to be asked about it.

        See `bridge.broker.express.Taker`.
        """
        if self._is_at_work or self._waiting or self.ended.done() or not self._open.is_set():
            return False
        delivered, subject = _delivered(words), utf8(words[1])
        if delivered is None or not subject:
            return False
        if delivered.consumer_seq != self._last + 1 or delivered.stream_seq != self._reader.last_seq + 1:
            return False
        self.was_heard = True
        self._last = delivered.consumer_seq
        head = int(words[-2]) if words[0] == b"HMSG" else 0
        payload = data[begin + head : begin + int(words[-1])]
        if not payload and MARKER_REASON.encode() in data[begin : begin + head]:
            self._reader.pass_over(delivered.stream_seq, delivered.stored_ns)
            return True
        is_passing = data.find(_TTL, begin, begin + head) >= 0 > data.find(_NO_TTL, begin, begin + head)
        stored = StoredMessage(subject, payload, delivered.stream_seq, delivered.stored_ns, is_passing)
        self._reader.take(stored, delivered.pending)
        return True

    async def on_message(self, message: Msg) -> None:
        """nats-py calls this for every other message of the inbox, one after the other."""
        self.was_heard = True
        self._is_at_work = True
        try:
            await self._open.wait()
            explained = self._explained
            if not self.ended.done():
                await self._deal_with(message)
            if self._explained == explained:
                self._explained = max(explained - 1, 0)
        finally:
            self._is_at_work = False

    async def _deal_with(self, message: Msg) -> None:
        control = parse_control(message.headers, message.reply)
        if control is None:
            await self._take(message)
        else:
            await self._obey(control)
        if self._why_hole == "overflow" and not self._waiting:
            self.end("overflow")

    def end(self, reason: str) -> None:
        """Hear nothing more; the first reason counts."""
        if not self.ended.done():
            self.ended.set_result(reason)

    def overflowed(self, sid: int) -> None:
        """Messages were dropped behind those that wait: these are still good, and bring the feed forward."""
        if self.subscription is not None and self.subscription._id == sid:
            self._why_hole = "overflow"

    @property
    def _waiting(self) -> int:
        """Messages that have come and are not taken yet."""
        return self.subscription.pending_msgs if self.subscription is not None else 0

    async def _take(self, message: Msg) -> None:
        delivered = parse_reply(message.reply)
        if delivered.consumer_seq != self._last + 1:
            self.end(self._why_hole)
            return
        await self._look_before(delivered)
        if self.ended.done():
            return
        self._last = delivered.consumer_seq
        if is_delete_marker(message.headers, message.data):
            self._reader.pass_over(delivered.stream_seq, delivered.stored_ns)
            return
        seq, stored_ns = delivered.stream_seq, delivered.stored_ns
        stored = StoredMessage(message.subject, message.data, seq, stored_ns, has_ttl(message.headers))
        self._reader.take(stored, delivered.pending)

    async def _look_before(self, delivered: Delivered) -> None:
        """A consumer passes over what is gone, and does not say why: what expired leaves such holes, too.

        Where the stream began when it was asked explains the holes before all messages that had been sent by
        then: asking once for each would slow down the reading of a stream in which much has expired.
        """
        if delivered.stream_seq == self._reader.last_seq + 1:
            return
        if delivered.stream_seq <= self._reader.last_seq:
            self.end("order")
            return
        if not self._explained:
            self._explained = self._waiting
            await self._ask()
        if self._look is not None and not self.ended.done():
            self._reader.explain(self._look, delivered.stream_seq)

    async def _ask(self) -> None:
        """Look at the stream; where that fails, this consumer is at its end."""
        try:
            self._look = await self._reader.look(self._client)
        except FAULTS:
            self.end("error")
            return
        if self._look is None:
            self.end("stream")

    async def _has_all(self, last_stream_seq: int) -> bool:
        """Find out why nothing came up to it; it may have been taken away before it was sent."""
        if last_stream_seq > self._reader.last_seq:
            await self._ask()
            if self._look is not None and not self.ended.done():
                self._reader.explain(self._look, last_stream_seq + 1)
        return not self.ended.done()

    async def _obey(self, control: Control) -> None:
        if control.last_consumer_seq is not None and control.last_consumer_seq != self._last:
            self.end(self._why_hole)
            return
        if control.last_stream_seq is not None and await self._has_all(control.last_stream_seq):
            self._reader.idle(control.last_stream_seq)
        if control.answer_to:
            await self._client.publish(control.answer_to)
