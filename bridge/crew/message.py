"""A message: an event in the form in which it is queued, kept on disk and published."""

from typing import Final, NamedTuple, Self

from contracts import WebSocketEvent
from contracts.types import is_short_lived

STREAM: Final = "CREW_EVENTS"
"""The stream that the bridge creates, and that publishers wait for."""


class Message(NamedTuple):
    """What is published, and nothing that still could change."""

    event_id: str
    """Also its ``Nats-Msg-Id``: sent twice, it is stored once."""
    subject: str
    payload: bytes
    short_lived: bool
    """Published with a time to live, and the first to be shed when memory is short."""

    @classmethod
    def of(cls, event: WebSocketEvent) -> Self:
        """The message for an event. Data that JSON cannot carry raises `ContractError`."""
        payload = event.to_json().encode()
        return cls(event.event_id, event.address, payload, is_short_lived(event.event_type))

    @property
    def size(self) -> int:
        """Bytes that it counts as, wherever memory or disk is bounded."""
        return len(self.payload) + len(self.subject) + len(self.event_id)
