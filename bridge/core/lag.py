"""How far a connection is behind: in events, bytes and time."""

from dataclasses import dataclass
from typing import Final

from bridge.core.connection import Connection
from bridge.core.log import Log

_NANOSECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Lag:
    """What a connection has not been given, or has not taken, yet."""

    events: int
    """Events of its view that are still to be given."""
    bytes: int
    """Bytes of these events, and what the socket has not taken."""
    milliseconds: int
    """Since the stream stored the first of these events; 0 if there is none."""
    is_exact: bool
    """Otherwise ``events`` is how many there can be at most, and there are more bytes and milliseconds.

    So it is with what is older than the ring, and with more than can be counted at once.
    """


def lag_of(connection: Connection, log: Log, now: int) -> Lag:
    """The lag at ``now``, in nanoseconds since 1970."""
    if connection.group is not None:
        left = [entry for entry in connection.group.held(connection.cursor.position) if not entry.is_gap]
        is_exact = True
    else:
        found = list(connection.cursor.left(log))
        left = [entry for entry in found if entry is not None]
        is_exact = None not in found
    events = len(left) if is_exact else max(log.head - connection.resume_point(log.head), len(left))
    oldest = left[0].stored_ns if left and is_exact else log.oldest_ns
    waits = bool(left) or not is_exact
    return Lag(
        events=events,
        bytes=sum(len(entry.frame) for entry in left) + connection.socket.buffered(),
        milliseconds=max(now - oldest, 0) // _NANOSECONDS if waits and oldest else 0,
        is_exact=is_exact,
    )
