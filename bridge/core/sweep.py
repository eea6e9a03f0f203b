"""Heartbeats for who listens, an end for who does not: one look at all connections, once a second."""

from typing import NamedTuple

from bridge.core.connection import Connection
from bridge.core.frames import Opcode, frame
from bridge.core.hub import Hub
from bridge.core.pauses import Pauses
from bridge.core.socket import CloseCode
from contracts.events import WebSocketEvent
from contracts.types import EventType

_PING = frame(b"", Opcode.PING)


class Stale(NamedTuple):
    """A connection that was ended, and for how many seconds nothing had been heard from it."""

    connection: Connection
    silence: float


class Sweep:
    """Sends heartbeats every ``interval`` seconds, ends connections silent for ``stale_after`` seconds.

    So it does those whose sockets have something to take and took nothing for ``stalled_after`` seconds.
    A heartbeat is an event that pages see, with a WebSocket ping that every client answers by itself.
    ``period``: seconds in which it is run at least once. Where much more has passed, this process was
    stopped, and nobody's silence counts for that time: what clients said waits to be read.
    """

    def __init__(
        self,
        hub: Hub,
        *,
        period: float,
        interval: float,
        stale_after: float,
        stalled_after: float,
        buffer_limit: int,
    ) -> None:
        self._hub = hub
        self._pauses = Pauses(period)
        self._interval = interval
        self._stale_after = stale_after
        self._stalled_after = stalled_after
        self._buffer_limit = buffer_limit

    def run(self, now: float, stale_after: float | None = None) -> list[Stale]:
        """Look at every connection, end the stale ones, and say which those were.

        ``now`` is in the seconds of the clock that connections were opened by. ``stale_after`` holds for
        this time only.
        """
        limit = self._stale_after if stale_after is None else stale_after
        pause = self._pauses.before(now)
        beats: dict[int, bytes] = {}
        stale: list[Stale] = []
        for connection in tuple(self._hub.connections.values()):
            if pause:
                self._forgive(connection, pause, now)
            self._note_progress(connection, now)
            silence = now - connection.last_heard
            if silence > limit:
                self._hub.counters.stale += 1
                self._hub.close(connection, CloseCode.STALE, "nothing was heard from you")
                stale.append(Stale(connection, silence))
            elif now - connection.taken_at > self._stalled_after:
                self._hub.counters.stalled += 1
                self._hub.close(connection, CloseCode.STALLED, "you took nothing for too long")
            elif now >= connection.next_heartbeat:
                connection.next_heartbeat = now + self._interval
                self._beat(connection, beats)
        return stale

    @staticmethod
    def _forgive(connection: Connection, pause: float, now: float) -> None:
        connection.last_heard = min(connection.last_heard + pause, now)
        connection.taken_at = min(connection.taken_at + pause, now)

    @staticmethod
    def _note_progress(connection: Connection, now: float) -> None:
        """Who reads slowly has not come to our pings yet: that a full socket takes more is an answer, too."""
        backlog = connection.socket.buffered()
        taken = connection.bytes_sent - backlog
        if taken > connection.taken and connection.backlog:
            connection.last_heard = now
        if taken > connection.taken or not backlog:
            connection.taken_at = now
        connection.backlog, connection.taken = backlog, taken

    def _beat(self, connection: Connection, beats: dict[int, bytes]) -> None:
        """A socket that is full is not alive enough to need one."""
        if connection.socket.buffered() > self._buffer_limit:
            return
        cursor = connection.resume_point(self._hub.log.head)
        if cursor not in beats:
            beats[cursor] = self._frame(cursor)
        connection.write(beats[cursor], 1)
        self._hub.counters.messages_out += 1

    def _frame(self, cursor: int) -> bytes:
        log = self._hub.log
        position = log.position(cursor)
        data = {"epoch": log.anchor, "head": log.head, "cursor": cursor}
        if position is not None:
            data["position"] = str(position)
        return frame(WebSocketEvent.create(EventType.CONNECTION_HEARTBEAT, data).to_json().encode()) + _PING
