"""One read of a pull consumer: its messages in the consumer's own numbers, and how far it has looked."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from bridge.broker.replies import has_ttl, is_delete_marker, is_stored, parse_reply
from contracts.codec import StoredMessage

_PULL_SECONDS: Final = 2.0
_HEARTBEAT_SECONDS: Final = 0.02
"""A consumer that has nothing more says so after so long, and how far it has looked."""
_IDLE: Final = "100"
_TOO_LARGE: Final = "Message Size Exceeds MaxBytes"
_COMPLETE: Final = "complete"
_ASKED_FOR: Final = "Batch Completed"
"""The server's words for a request that brought what it asked for, and ours where it does not say so."""
_MORE: Final = frozenset({_ASKED_FOR, _TOO_LARGE})
"""What ends a request though there may be more."""


class Limits(NamedTuple):
    """How much one request may ask for: what we want, less what the server grants."""

    messages: int
    bytes: int
    seconds: float = _PULL_SECONDS

    def granted(self, config: Mapping[str, Any]) -> "Limits":
        """These limits under the configuration that the server gave a consumer: 0 and absent set none."""
        return Limits(
            min(self.messages, config.get("max_batch") or self.messages),
            min(self.bytes, config.get("max_bytes") or self.bytes),
            min(self.seconds, (config.get("max_expires") or self.seconds * 1e9) / 1e9),
        )


class Pull:
    """The messages in (``after``, ``upto``] that a consumer sends; deaf once it has ended."""

    def __init__(self, after: int, upto: int) -> None:
        self._after = after
        self._upto = upto
        self._count = 0
        self._most = 0
        self.bytes = 0
        """What came, as the server counts it, but for headers."""
        self.messages: list[StoredMessage] = []
        self.scanned = after
        """Everything up to it was sent, or is not wanted."""
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def run(self, client: Client, stream: str, consumer: str, limits: Limits, room: Limits) -> None:
        """Ask for messages until all are here, ``room`` is used up, or the consumer says no.

        Each request asks for ``limits`` at most. Raises `OSError` where nothing was learned, with the
        server's words.
        """
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, cb=self.on_message)
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        try:
            end = await self._ask_on(client, subject, inbox, limits, room)
        finally:
            with suppress(NatsError, OSError):
                await subscription.unsubscribe()
        if self.is_empty:
            raise OSError(f"the consumer of the stream sent nothing: {end}")

    async def _ask_on(self, client: Client, subject: str, inbox: str, limits: Limits, room: Limits) -> str:
        while True:
            before = self.scanned
            end = await self._ask(client, subject, inbox, self._next(limits, room), limits.seconds)
            if end == _TOO_LARGE and self.is_empty:
                return await self._ask(client, subject, inbox, {"batch": 1}, limits.seconds)
            if end not in _MORE or self.scanned == before or not self._has_room(limits, room):
                return end

    def _has_room(self, limits: Limits, room: Limits) -> bool:
        """Whether another request is worth its round trip: the server grants less than there is room."""
        is_limited = limits.messages < room.messages or limits.bytes < room.bytes
        return is_limited and self._count < room.messages and self.bytes < room.bytes

    def _next(self, limits: Limits, room: Limits) -> dict[str, int]:
        """What to ask for: the rest of the room, as far as one request may."""
        return {
            "batch": min(limits.messages, room.messages - self._count),
            "max_bytes": min(limits.bytes, room.bytes - self.bytes),
        }

    async def _ask(
        self, client: Client, subject: str, inbox: str, request: dict[str, int], seconds: float
    ) -> str:
        """One pull request; what ended it."""
        timing = {"expires": int(seconds * 1e9), "idle_heartbeat": int(_HEARTBEAT_SECONDS * 1e9)}
        self.begin(request["batch"])
        await client.publish(subject, json.dumps(request | timing).encode(), reply=inbox)
        await asyncio.wait([self.ended], timeout=2 * seconds)
        return self.ended.result() if self.ended.done() else "silence"

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
        self.bytes += len(message.subject) + len(message.reply) + len(message.data)
        if delivered.stream_seq <= self._upto and not is_delete_marker(message.headers, message.data):
            seq, stored_ns = delivered.stream_seq, delivered.stored_ns
            stored = StoredMessage(message.subject, message.data, seq, stored_ns, has_ttl(message.headers))
            self.messages.append(stored)
        self.scanned = min(delivered.stream_seq, self._upto)
        if self.scanned == self._upto:
            self.ended.set_result(_COMPLETE)
        elif self._count == self._most:
            self.ended.set_result(_ASKED_FOR)

    def _advance(self, consumer_seq: int, stream_seq: int) -> None:
        """The consumer has looked at everything up to ``stream_seq``, and waits."""
        if consumer_seq != self._count:
            self.ended.set_result("hole")
            return
        self.scanned = max(self.scanned, min(stream_seq, self._upto))
        if self.scanned == self._upto:
            self.ended.set_result(_COMPLETE)
