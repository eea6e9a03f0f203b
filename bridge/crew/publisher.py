"""The publisher: how an application puts events of its own into the stream."""

import asyncio
import logging
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from bridge.crew.link import FAULTS, Link, Options, cancellations, connected, end_if_cancelled
from bridge.crew.message import STREAM, Message
from contracts import WebSocketEvent

log = logging.getLogger(__name__)

_ACK_SECONDS: Final = 2.0
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0


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
        take, because it is too large, raises `ValueError`.
        """
        message = Message.of(event)
        pause, again, asked = _FIRST_PAUSE, False, cancellations()
        while not await self._attempt(message, again=again):
            end_if_cancelled(asked)
            self.retries += 1
            again = True
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        self.published += 1
        end_if_cancelled(asked)

    async def _attempt(self, message: Message, *, again: bool) -> bool:
        try:
            link = await self._connected()
            send = link.send_again if again else link.send
            refused = await send([message], _ACK_SECONDS)
        except FAULTS as error:
            self.obstacle = error
            log.debug("not published yet: %s", error)
            return False
        if refused:
            raise ValueError(f"{message.subject}: {message.size} bytes are more than the server takes")
        return True

    async def _connected(self) -> Link:
        async with self._connecting:
            if self._link is None or self._link.faulty:
                self._link = None
                await self._lifetime.aclose()
                self._link = await self._lifetime.enter_async_context(
                    connected(self._url, self._stream, self._options)
                )
            return self._link
