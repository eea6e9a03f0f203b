"""What the tests of the core share: an honest socket, entries, and a hub that notes what it asks for."""

import json
from collections.abc import Iterator
from typing import Any, Final

from bridge.core.connection import Connection
from bridge.core.entry import Entry
from bridge.core.hub import Hub
from bridge.core.log import Log
from contracts.codec import StoredMessage, decode
from contracts.filters import EventFilter
from contracts.messages import Recovery
from contracts.subjects import Subject
from contracts.subscriptions import parse_subscription
from tests.core.stream import FakeStream

LIMIT: Final = 2000
"""Bytes in a socket's buffer above which the hubs of the tests stop writing to it."""

Json = dict[str, Any]


class FakeSocket:
    """A way out that keeps what was written. While ``is_stuck``, nobody reads at the other end."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.is_stuck = False
        self.backlog = 0

    def write(self, data: bytes) -> None:
        assert self.closed is None, "written to after it was closed"
        self.written.append(data)
        if self.is_stuck:
            self.backlog += len(data)

    def buffered(self) -> int:
        return self.backlog

    def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or (code, reason)


def frames(data: bytes) -> Iterator[bytes]:
    """The payloads of whole, unmasked, final text frames; anything else in ``data`` fails."""
    while data:
        assert data[0] == 0x81
        size, start = data[1], 2
        if size > 125:
            start = {126: 4, 127: 10}[size]
            size = int.from_bytes(data[2:start])
        assert len(data) >= start + size
        yield data[start : start + size]
        data = data[start + size :]


def messages(socket: FakeSocket) -> list[Json]:
    """Everything that was written, batches taken apart."""
    found: list[Json] = []
    for data in socket.written:
        for payload in frames(data):
            message = json.loads(payload)
            found.extend(message if isinstance(message, list) else [message])
    return found


def seqs(socket: FakeSocket) -> list[int]:
    """The events that were written."""
    return [message["seq"] for message in messages(socket) if "event_type" in message]


def event(
    seq: int,
    event_type: str = "custom.note",
    *,
    crew: str | None = None,
    execution: str | None = None,
    size: int = 0,
    **envelope: str,
) -> Entry:
    """An event as it comes from the stream, with ``size`` bytes of data."""
    subject = event_type if "audience" in envelope else Subject.build(event_type, crew, execution)
    body = json.dumps({**envelope, "data": {"pad": "x" * size}})
    return Entry.of_event(decode(StoredMessage(str(subject), body.encode(), seq, 0), "e0"), seq)


class Bench:
    """A hub, and whom it calls; the stream behind it holds what was published."""

    def __init__(
        self,
        max_bytes: int = 1 << 20,
        floor: int = 0,
        max_replay: int | None = None,
        limit: int = LIMIT,
        writes_a_step: int = 1,
    ) -> None:
        log = Log(max_bytes)
        log.reset("e0", floor)
        self.is_woken = False
        self.now = 0
        self.full: list[Connection] = []
        self.stream = FakeStream()
        self.hub = Hub(
            log,
            buffer_limit=limit,
            wake=self._wake,
            full=self.full.append,
            fetch=self.stream.asked.append,
            now=lambda: self.now,
            max_replay=max_replay,
            writes_a_step=writes_a_step,
        )

    def _wake(self) -> None:
        self.is_woken = True

    def connect(
        self,
        *names: str,
        client_id: str = "me",
        since: int | None = None,
        batch: bool = False,
        filter: EventFilter = EventFilter(),  # noqa: A002 - as the connection calls it
    ) -> tuple[Connection, FakeSocket]:
        """A client that comes with these subscriptions."""
        socket = FakeSocket()
        connection = Connection(client_id, "test", socket, 0.0)
        connection.subscriptions = {name: parse_subscription(name) for name in names}
        connection.batch = batch
        connection.filter = filter
        self.hub.open(connection, since)
        return connection, socket

    def publish(self, *entries: Entry) -> None:
        """The stream brings these."""
        for entry in entries:
            self.stream.entries.append(entry)
            self.hub.publish(entry)

    def settle(self) -> None:
        """Flush as long as the hub asks for it."""
        while self.is_woken:
            self.is_woken = False
            for _ in self.hub.flush():
                pass

    def settle_with_stream(self, most: int = 1_000_000) -> int:
        """As `settle`, with the stream's answers, each of ``most`` events at most; how many those were."""
        self.settle()
        answers = 0
        while self.stream.asked:
            answers += 1
            request = self.stream.asked.pop(0)
            self.hub.supply(request, self.stream.read(request, most))
            self.settle()
        return answers

    def subscribe(
        self, connection: Connection, name: str, since: int | None = None, epoch: str | None = None
    ) -> Recovery | None:
        """As the command does."""
        connection.subscriptions[name] = parse_subscription(name)
        added = connection.view_of([connection.subscriptions[name]])
        return self.hub.change_view(connection, added=added, since=since, epoch=epoch)
