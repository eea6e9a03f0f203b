"""What the bridge itself puts into the stream."""

import asyncio
from typing import Final

from nats.aio.client import Client
from nats.errors import MaxPayloadError
from nats.js.api import Header

from bridge.broker.connection import FAULTS, end_if_cancelled
from contracts.errors import ContractError
from contracts.events import WebSocketEvent
from contracts.publishing import sent_size
from contracts.types import SHORT_LIFE_SECONDS, is_short_lived

_SECONDS: Final = 2.0
"""How long the stream has to acknowledge."""
_MESSAGE_TOO_LARGE: Final = 10054
"""JetStream's error code for a message above the stream's ``max_msg_size``."""


class Publisher:
    """Publishes events into ``stream``, acknowledged, while it runs."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._client: Client | None = None
        self._expires: bool | None = None
        self.published = 0
        self.failures = 0

    async def run(self, client: Client) -> None:
        """Publish over ``client``, for ever; ends by cancellation only."""
        self._client, self._expires = client, None
        try:
            await asyncio.Event().wait()
        finally:
            self._client = None

    async def publish(self, event: WebSocketEvent) -> int:
        """The event's ``seq``, once it is stored; published again, it is the same one.

        Raises `OSError` where NATS or the stream does not answer: it may be stored all the same. An event
        that is larger than the stream takes raises `ContractError`.
        """
        client = self._client
        if client is None or not client.is_connected:
            self.failures += 1
            raise OSError("there is no NATS")
        try:
            seq = await self._publish(client, event)
        except FAULTS as error:
            self.failures += 1
            self._expires = None
            if isinstance(error, MaxPayloadError) or getattr(error, "err_code", None) == _MESSAGE_TOO_LARGE:
                raise ContractError("data", "is larger than the stream takes") from None
            raise OSError(str(error) or type(error).__name__) from error
        finally:
            end_if_cancelled()
        self.published += 1
        return seq

    async def _publish(self, client: Client, event: WebSocketEvent) -> int:
        jetstream = client.jetstream(timeout=_SECONDS)
        headers = {Header.MSG_ID.value: event.event_id}
        if is_short_lived(event.event_type) and await self._may_expire(client):
            headers[Header.MSG_TTL.value] = str(SHORT_LIFE_SECONDS)
        headers[Header.EXPECTED_STREAM.value] = self._stream
        payload = event.to_json().encode()
        if sent_size(payload, headers) > client.max_payload:
            raise MaxPayloadError
        ack = await jetstream.publish(event.address, payload, headers=headers)
        return ack.seq

    async def _may_expire(self, client: Client) -> bool:
        """Whether the stream takes per-message times to live."""
        if self._expires is None:
            info = await client.jetstream(timeout=_SECONDS).stream_info(self._stream)
            self._expires = bool(info.config.allow_msg_ttl)
        return self._expires
