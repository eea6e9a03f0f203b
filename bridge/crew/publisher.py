"""The publisher: how an application puts events of its own into the stream."""

import asyncio
import logging
from contextlib import AsyncExitStack, nullcontext
from time import monotonic
from types import TracebackType
from typing import Final, Self

from bridge.crew.acknowledgements import PassedOver
from bridge.crew.connection import FAULTS, Options, cancellations, end_if_cancelled
from bridge.crew.doubt import Doubt
from bridge.crew.link import Link, connected
from bridge.crew.message import STREAM, Message
from contracts import WebSocketEvent
from contracts.publishing import TRY_SECONDS, Reason

log = logging.getLogger(__name__)

_ACK_SECONDS: Final = 2.0
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
_MOST_DOUBTS: Final = 10_000


class EventPublisher:
    """Publishes events with acknowledgement: ``async with EventPublisher(url) as publisher``.

    While no server or no stream answers, events wait; the stream is the bridge's to create. One publisher
    serves any number of tasks of one event loop.
    """

    def __init__(self, nats_url: str, *, stream: str = STREAM, nats_options: Options | None = None) -> None:
        self._url = nats_url
        self._stream = stream
        self._options = nats_options
        self._connecting = asyncio.Lock()
        self._alone = asyncio.Lock()
        self._careful = False
        """Whether to publish one event at a time: the server refused one, and did not say which."""
        self._in_flight = 0
        self._doubts: dict[str, Doubt] = {}
        """About the last events that were given up by who published them."""
        self._lifetime = AsyncExitStack()
        self._link: Link | None = None
        self.obstacle: Exception | None = None
        """What kept the last attempt from the stream."""
        self.published = 0
        """Events that the stream has taken."""
        self.retries = 0
        """Times that an event had to be sent again."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._lifetime.aclose()

    async def publish(self, event: WebSocketEvent) -> None:
        """Return when the event is stored; it is stored once, however often it had to be sent.

        Waits as long as it takes: bound it with ``asyncio.timeout``. An event that the server will never
        take raises: `ValueError` if it is too large, `PermissionError` if it may not be published.
        """
        message = Message.of(event)
        doubt = self._doubts.pop(event.event_id, None) or Doubt()
        try:
            await self._until_stored(message, doubt)
        except asyncio.CancelledError:
            self._remember(event.event_id, doubt)
            raise

    async def _until_stored(self, message: Message, doubt: Doubt) -> None:
        pause, asked = _FIRST_PAUSE, cancellations()
        until = monotonic() + TRY_SECONDS
        while not await self._attempt(message, doubt, patient=monotonic() < until):
            end_if_cancelled(asked)
            self.retries += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        self.published += 1
        end_if_cancelled(asked)

    def _remember(self, event_id: str, doubt: Doubt) -> None:
        """Whoever gave up waiting may publish the same event again."""
        if doubt.messages:
            self._doubts[event_id] = doubt
        if len(self._doubts) > _MOST_DOUBTS:
            del self._doubts[next(iter(self._doubts))]

    async def _attempt(self, message: Message, doubt: Doubt, *, patient: bool) -> bool:
        async with self._alone if self._careful else nullcontext():
            try:
                link = await self._connected()
                self._in_flight += 1
                is_only = self._in_flight == 1
                try:
                    over = await link.send_once([message], _ACK_SECONDS, doubt, patient=patient)
                finally:
                    is_only, self._in_flight = is_only and self._in_flight == 1, self._in_flight - 1
            except FAULTS as error:
                self.obstacle = error
                log.debug("not published yet: %s", error)
                return False
        if not over:
            return True
        if link.faulty and not is_only:
            self._careful = True
            return False
        raise _error(over[0])

    async def _connected(self) -> Link:
        async with self._connecting:
            if self._link is None or self._link.faulty:
                self._link = None
                await self._lifetime.aclose()
                self._link = await self._lifetime.enter_async_context(
                    connected(self._url, self._stream, self._options)
                )
            return self._link


def _error(over: PassedOver) -> Exception:
    subject = over.message.subject
    if over.reason is Reason.TOO_LARGE:
        return ValueError(f"{subject}: {over.message.size} bytes are more than the server takes")
    if over.reason is Reason.DENIED:
        return PermissionError(f"{subject}: NATS does not let this user publish it")
    return ValueError(f"{subject}: the stream does not take it")
