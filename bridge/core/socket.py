"""What the core needs of a browser's connection."""

from enum import IntEnum
from typing import Protocol


class CloseCode(IntEnum):
    """Why the bridge ended a connection.

    4000-4499: come back, after ``retry_after_ms`` where the reason names it. 4500-4999: coming back as
    you are will not help. 1000-1015 are the WebSocket protocol's own.
    """

    GOING_AWAY = 4000
    """The bridge shuts down; another, or the next, serves you."""
    STREAM_RESET = 4001
    """The stream was made anew: sequence numbers start again."""
    STALE = 4002
    """Nothing was heard from you for too long."""
    DISCONNECTED = 4003
    """An operator ended the connection."""
    STALLED = 4004
    """You took nothing of what was sent for too long; what you missed waits for you."""
    TOO_MANY_ERRORS = 4500
    """Message after message was refused."""
    REPLACED = 4501
    """The same ``client_id`` connected again; only the newest connection of a client is served."""


class Socket(Protocol):
    """One connection's way out. Never blocks and never raises, also when the peer is gone."""

    def write(self, data: bytes) -> None:
        """Send whole frames."""
        ...

    def buffered(self) -> int:
        """Bytes accepted by `write` that the operating system has not taken yet."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Begin to end the connection; returns at once, a second call does nothing."""
        ...
