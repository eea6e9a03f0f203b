"""From the groups and the log to the sockets: flushing what is new, reading on for who is behind."""

from collections.abc import Callable, Iterator
from typing import Final

from bridge.core.connection import Connection, encode
from bridge.core.counters import Counters
from bridge.core.entry import Entry
from bridge.core.group import Group
from bridge.core.history import Chunk, Request
from bridge.core.log import Log
from bridge.core.pages import Pages, Sheet
from bridge.core.router import EventRouter
from bridge.core.view import View
from contracts.messages import Gap

MAX_BATCH: Final = 256 * 1024
"""Bytes of events in one write: larger messages pass the limits of browser libraries and proxies."""

WRITES_A_STEP: Final = 8
"""To write to a socket of a group takes 5 to 50 microseconds: too short to look at the clock each time."""


class Delivery:
    """Writes to sockets, and keeps every connection either in its group or on its way there.

    ``buffer_limit``: bytes in a socket's buffer above which its connection is not written to any more.
    ``full`` is called then, maybe more than once; whoever hears it must call `drained` when there is room.
    ``now``: nanoseconds since 1970.
    ``fetch`` is called with what connections need of the stream; `supply` brings it, whenever that is.
    ``writes_a_step``: how many sockets of a group are written to in one step of `flush`.
    """

    def __init__(
        self,
        log: Log,
        router: EventRouter,
        counters: Counters,
        *,
        buffer_limit: int,
        wake: Callable[[], None],
        full: Callable[[Connection], None],
        now: Callable[[], int],
        fetch: Callable[[Request], None],
        writes_a_step: int = WRITES_A_STEP,
    ) -> None:
        self._writes_a_step = writes_a_step
        self._step = 0
        """Writes since the last step ended."""
        self._now = now
        self._log = log
        self._router = router
        self._counters = counters
        self._buffer_limit = buffer_limit
        self._wake = wake
        self._full = full
        self._fetch = fetch
        self._readers: dict[Connection, Chunk | None] = {}
        self._waiting: dict[Request, dict[Connection, None]] = {}

    @property
    def readers(self) -> int:
        """How many connections read on in the log now; those whose sockets are full are not among them."""
        return len(self._readers)

    @property
    def waiting(self) -> int:
        """How many connections wait for the stream."""
        return sum(map(len, self._waiting.values()))

    def flush(self) -> Iterator[None]:
        """Write what is due, a few writes a step.

        Between steps everything else may be called, except `flush`.
        """
        groups = self._router.take_dirty()
        readers, self._readers = self._readers, {}
        for group in groups:
            for part in _parts(group.take()):
                yield from self._flush_part(group, part)
            group.landed()
        pages = Pages()
        for connection, chunk in readers.items():
            if connection.is_open and connection.group is None:
                self._read(connection, chunk, pages)
                yield

    def go_on(self, connection: Connection, chunk: Chunk | None = None) -> None:
        """Join the head, or read on, or wait for room: whatever is next for a connection in no group.

        ``chunk`` may hold what it needs. Who has to wait for room lets it go: it is to be had again.
        """
        if not connection.is_open:
            return
        if self._is_full(connection):
            self._full(connection)
        elif connection.cursor.is_at(self._log.head):
            self._router.join(connection)
            self._readers.pop(connection, None)
        else:
            self._readers[connection] = chunk
            self._wake()

    def is_wanted(self, request: Request) -> bool:
        """Whether a connection waits for the answer."""
        return request in self._waiting

    def supply(self, request: Request, chunk: Chunk) -> None:
        """The answer to ``request``: who waits for it reads on."""
        for connection in self._waiting.pop(request, ()):
            connection.waits_for = None
            self.go_on(connection, chunk)

    def stop_waiting(self, connection: Connection) -> None:
        """The connection has ended, or needs something else now."""
        request, connection.waits_for = connection.waits_for, None
        if request is None:
            return
        waiting = self._waiting[request]
        del waiting[connection]
        if not waiting:
            del self._waiting[request]

    def drained(self, connection: Connection) -> None:
        """The connection's socket has room again."""
        if connection.group is None:
            self.go_on(connection)

    def catch_up(self, connection: Connection) -> None:
        """Give a live connection what its group still holds for it."""
        if connection.group is not None:
            self.give(connection, connection.group.held(connection.cursor.position))
            connection.cursor.position = self._log.head

    def address(self, connection: Connection, entry: Entry) -> None:
        """Give a live connection an entry for it alone; one that reads will find it in the log."""
        if connection.group is not None:
            self.give(connection, [*connection.group.held(connection.cursor.position), entry])

    def give(self, connection: Connection, entries: list[Entry]) -> None:
        """Write ``entries`` to a live connection."""
        if entries:
            self._put(connection, _encoded(entries, connection.view))
            connection.cursor.position = entries[-1].seq
            if self._is_full(connection):
                self._fall_behind(connection)

    def _flush_part(self, group: Group[Connection], part: list[Entry]) -> Iterator[None]:
        data, count = encode(part, group.view), len(part)
        size, limit, most = len(data), self._buffer_limit, self._writes_a_step
        first, last = part[0].seq, part[-1].seq
        times, step = 0, self._step
        for connection in group.members:
            cursor = connection.cursor
            position = cursor.position
            if connection.group is not group or position >= last:
                continue
            if position < first:
                # `Connection.give`, without the call: this is the bridge's innermost loop.
                socket = connection.socket
                socket.write(data)
                connection.bytes_sent += size
                connection.events_sent += count
                cursor.position = last
                times += 1
                if socket.buffered() > limit:
                    self._fall_behind(connection)
            else:
                self.give(connection, [entry for entry in part if entry.seq > position])
            step += 1
            if step == most:
                step = 0
                yield
        self._step = step
        if times:
            self._counters.delivery(part, size, times)
            self._counters.flush(part, self._now())

    def _read(self, connection: Connection, chunk: Chunk | None, pages: Pages) -> None:
        if self._is_full(connection):
            self._full(connection)
            return
        room = _page_size(self._buffer_limit - connection.socket.buffered())
        likeness = connection.cursor.likeness(self._log, chunk, room)
        sheet = pages.find(likeness) or self._sheet(connection, chunk, room)
        if sheet is None:
            self._wait(connection)
            return
        pages.keep(likeness, sheet)
        self.stop_waiting(connection)
        page = sheet.page
        if page.lost is not None:
            first, last = page.lost
            connection.say(Gap(from_=first, to=last, reason=page.why))
            self._counters.gaps[page.why] += 1
            self._counters.messages_out += 1
        if chunk is not None and chunk.holes:
            self._counters.gaps["too_old"] += sum(entry.is_gap for entry in page.entries)
        self._put(connection, sheet.writes)
        connection.cursor.advance(page.upto)
        self.go_on(connection, chunk)

    def _sheet(self, connection: Connection, chunk: Chunk | None, room: int) -> Sheet | None:
        page = connection.cursor.read(self._log, room, chunk)
        return None if page is None else Sheet(page, _encoded(page.entries, connection.view))

    def _wait(self, connection: Connection) -> None:
        """Nothing more for the connection until the stream was read."""
        request = connection.cursor.request(self._log)
        if request == connection.waits_for:
            return
        self.stop_waiting(connection)
        connection.waits_for = request
        waiting = self._waiting.setdefault(request, {})
        waiting[connection] = None
        if len(waiting) == 1:
            self._fetch(request)
        else:
            self._counters.shared_requests += 1

    def _put(self, connection: Connection, writes: list[tuple[list[Entry], bytes]]) -> None:
        for part, data in writes:
            connection.give(data, len(part))
            self._counters.delivery(part, len(data))

    def _fall_behind(self, connection: Connection) -> None:
        """A live connection whose socket is full leaves the head."""
        self._router.leave(connection)
        self._counters.fell_behind += 1
        self._full(connection)

    def _is_full(self, connection: Connection) -> bool:
        return connection.socket.buffered() > self._buffer_limit


def _page_size(room: int) -> int:
    """Bytes of a page for a socket with so much room; of few sizes, so that it can be shared."""
    return min(1 << max(room, 1).bit_length() - 1, MAX_BATCH)


def _encoded(entries: list[Entry], view: View) -> list[tuple[list[Entry], bytes]]:
    return [(part, encode(part, view)) for part in _parts(entries)]


def _parts(entries: list[Entry]) -> list[list[Entry]]:
    """Cut into lists of at most `MAX_BATCH` bytes, but at least one entry each."""
    parts: list[list[Entry]] = []
    size = MAX_BATCH
    for entry in entries:
        size += len(entry.frame)
        if size > MAX_BATCH:
            parts.append([])
            size = len(entry.frame)
        parts[-1].append(entry)
    return parts
