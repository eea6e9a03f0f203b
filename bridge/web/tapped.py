"""A connection whose every byte is overheard, and the lines that this makes."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol

from pydantic_core import from_json, to_json

from bridge.core.connection import Connection
from bridge.core.deflate import inflated
from bridge.core.entry import Entry
from bridge.core.frames import Opcode, Part, split
from bridge.core.hub import Hub
from bridge.core.socket import Socket
from bridge.core.verdict import declined_by
from bridge.web.backlog import Backlog, Dropped
from contracts.tapping import TapLine

ALIVE_SECONDS: Final = 3.0
"""After so long without news a tap says that it is alive."""
MAX_SHOWN: Final = 512 * 1024
"""A larger message is shown by its beginning: half of what a NATS message may be."""
_BEGINNING: Final = 200


class Sent(NamedTuple):
    """Whole frames, as they were written."""

    at: datetime
    data: bytes


class _Ear(Protocol):
    def sent(self, data: bytes) -> None: ...

    def closed(self, code: int, reason: str) -> None: ...


class TappedSocket:
    """Stands in a connection's socket's place, as long as somebody listens; it adds no wait."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.ears: dict[_Ear, None] = {}

    def write(self, data: bytes) -> None:
        """As the socket does; and let others hear it."""
        self.socket.write(data)
        for ear in self.ears:
            ear.sent(data)

    def buffered(self) -> int:
        """As the socket says."""
        return self.socket.buffered()

    def close(self, code: int, reason: str) -> None:
        """As the socket does; and let others hear it."""
        self.socket.close(code, reason)
        for ear in self.ears:
            ear.closed(code, reason)


class Tap:
    """Overhears one connection. ``explain``: also notes the events that it is not given."""

    def __init__(self, hub: Hub, connection: Connection, instance: str, *, explain: bool) -> None:
        self._hub = hub
        self._connection = connection
        self._instance = instance
        self._explain = explain
        self._backlog: Backlog[Sent | TapLine] = Backlog(count_of=_lines_of)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """As long as this lasts."""
        connection = self._connection
        if not isinstance(connection.socket, TappedSocket):
            connection.socket = TappedSocket(connection.socket)
        tapped = connection.socket
        tapped.ears[self] = None
        if self._explain:
            self._hub.watchers[self._watch] = None
        try:
            yield
        finally:
            self._hub.watchers.pop(self._watch, None)
            del tapped.ears[self]
            if not tapped.ears:
                connection.socket = tapped.socket

    def sent(self, data: bytes) -> None:
        """The connection was sent whole frames."""
        self._backlog.put(Sent(datetime.now(UTC), data), len(data))

    def closed(self, code: int, reason: str) -> None:
        """The connection has ended."""
        self._backlog.close(TapLine(kind="closed", at=datetime.now(UTC), code=code, reason=reason))

    def first(self) -> bytes:
        """The line that says who is tapped."""
        return line(
            TapLine(
                kind="tapping",
                at=datetime.now(UTC),
                client_id=self._connection.client_id,
                instance=self._instance,
            )
        )

    async def lines(self) -> list[bytes]:
        """The next lines; the end raises `EOFError`."""
        news = await self._backlog.take(ALIVE_SECONDS)
        match news:
            case None:
                return [line(TapLine(kind="alive"))]
            case Dropped(count):
                return [line(TapLine(kind="dropped", count=count))]
            case TapLine():
                return [line(news)]
            case Sent(at, data):
                return [_sent(at, part) for part in split(data)]

    def _watch(self, entry: Entry) -> None:
        parts = declined_by(self._connection, entry)
        if parts:
            line = TapLine(
                kind="declined",
                at=datetime.now(UTC),
                seq=entry.seq,
                event_type=entry.event_type,
                subject=str(entry.subject),
                declined_by=list(parts),
            )
            self._backlog.put(line, 0)


def _lines_of(news: Sent | TapLine) -> int:
    return 1 if isinstance(news, TapLine) else sum(1 for _ in split(news.data))


def _sent(at: datetime, part: Part) -> bytes:
    if part.opcode is not Opcode.TEXT:
        return line(TapLine(kind="ping", at=at))
    head = {"kind": "sent", "at": at, "bytes": len(part.payload)}
    payload = inflated(part.payload) if part.is_compressed else part.payload
    if len(payload) > MAX_SHOWN:
        return to_json(head | {"text": payload[:_BEGINNING].decode(errors="replace")}) + b"\n"
    message = _in_one_line(payload)
    if message is None:
        return to_json(head | {"text": payload.decode(errors="replace")}) + b"\n"
    return to_json(head)[:-1] + b',"message":' + message + b"}\n"


def _in_one_line(payload: bytes) -> bytes | None:
    """JSON, which may be spread over several lines; None if it is none."""
    try:
        value = from_json(payload)
    except ValueError:
        return None
    return to_json(value) if b"\n" in payload or b"\r" in payload else payload


def line(tapped: TapLine) -> bytes:
    """As it is written."""
    return tapped.model_dump_json(exclude_none=True).encode() + b"\n"
