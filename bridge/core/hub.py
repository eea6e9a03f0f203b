"""The bridge's heart: events come in, connections come and go, each is given what its view wants.

Everything here is synchronous: two events can never interleave, so every connection sees one order.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from bridge.core.connection import Connection
from bridge.core.counters import Counters
from bridge.core.cursor import Cursor
from bridge.core.delivery import Delivery
from bridge.core.entry import Entry
from bridge.core.history import Chunk, Request
from bridge.core.log import Log
from bridge.core.router import EventRouter
from bridge.core.socket import CloseCode
from contracts.messages import Gap, GapReason, Recovery, RecoveryReason


class Hub:
    """Gives every connection exactly what its view wants, once, in order, or says what is missing.

    ``wake``: there is something to flush. ``full``: a connection's socket is; whoever hears it calls
    `drained` when there is room again. ``fetch``: connections need what the stream holds and the ring does
    not; whoever hears it calls `supply`, later, as soon as it can. ``now``: nanoseconds since 1970, to know
    the age of what is sent.
    """

    def __init__(
        self,
        log: Log,
        *,
        buffer_limit: int,
        wake: Callable[[], None],
        full: Callable[[Connection], None],
        now: Callable[[], int],
        fetch: Callable[[Request], None],
    ) -> None:
        self.log = log
        self.counters = Counters()
        self.router = EventRouter(wake)
        self.connections: dict[str, Connection] = {}
        self.watchers: dict[Callable[[Entry], None], None] = {}
        """Called with every event, before it is given to anybody; must not come or go meanwhile."""
        self._delivery = Delivery(
            log,
            self.router,
            self.counters,
            buffer_limit=buffer_limit,
            wake=wake,
            full=full,
            fetch=fetch,
            now=now,
        )

    def publish(self, entry: Entry) -> None:
        """Append ``entry``, newer than the head, to the log and to every group whose view wants it."""
        self.log.append(entry)
        self.counters.events_in[entry.subject.family] += 1
        for watch in self.watchers:
            watch(entry)
        if entry.client_id is None:
            self.router.route(entry)
        elif (connection := self.connections.get(entry.client_id)) is not None:
            self._delivery.address(connection, entry)

    def reject(self, seq: int, field: str) -> None:
        """What the stream holds at ``seq`` is no event: ``field`` is its first bad field."""
        self.counters.rejected[field] += 1
        self.log.skip(seq)

    def announce_gap(self, first: int, last: int, reason: GapReason) -> None:
        """The stream holds ``first``..``last`` no more, and the log never had them: tell everybody."""
        entry = Entry.of_gap(Gap(from_=first, to=last, reason=reason))
        self.counters.gaps[reason] += 1
        self.log.first = max(self.log.first, last + 1)
        self.log.append(entry)
        self.router.route(entry)

    def reset(self, epoch: str, floor: int) -> None:
        """The stream is another one: end all connections, begin a new log after ``floor``."""
        for connection in tuple(self.connections.values()):
            self.close(connection, CloseCode.STREAM_RESET, "the stream was made anew")
        self.log.reset(epoch, floor)

    def open(
        self, connection: Connection, since: int | None = None, epoch: str | None = None
    ) -> Recovery | None:
        """Take a new connection in: live from now on, or from ``since`` of ``epoch``.

        ``since`` 0 of no epoch in particular is everything that is kept: what is gone already is no gap then.
        Events follow from the next flush on: what is said to the connection before that, it gets first.
        An older connection of the same client, which is dead or soon will be, ends.
        """
        older = self.connections.get(connection.client_id)
        if older is not None:
            self.close(older, CloseCode.REPLACED, "the client connected again")
        self.connections[connection.client_id] = connection
        self.counters.opened[connection.endpoint] += 1
        connection.view = connection.current_view()
        after, reason = self._locate(since, epoch)
        connection.cursor = Cursor(connection.view, after, connection.client_id, is_known=connection.is_known)
        return self._begin(connection, after, reason)

    def change_view(
        self, connection: Connection, *, since: int | None = None, epoch: str | None = None
    ) -> Recovery | None:
        """Subscriptions or filter of the connection changed: from now on they hold.

        With ``since``, what the change adds is looked up in the log after it as well.
        """
        self._delivery.catch_up(connection)
        self.router.leave(connection)
        connection.view = connection.current_view()
        after, reason = self._locate(since, epoch)
        begin = connection.cursor.change_view(connection.view, self.log.head, after if reason else None)
        if begin is None:
            return self._begin(connection, after, None)
        return self._begin(connection, begin, reason if begin == after else "too_many")

    def drained(self, connection: Connection) -> None:
        """The connection's socket has room again."""
        self._delivery.drained(connection)

    def close(self, connection: Connection, code: int, reason: str) -> None:
        """Let go of a connection, whoever ends it; a second call does nothing."""
        if not connection.is_open:
            return
        connection.is_open = False
        del self.connections[connection.client_id]
        self.router.leave(connection)
        self._delivery.stop_waiting(connection)
        self.counters.closed[code] += 1
        connection.socket.close(code, reason)

    def send_away(self, connection: Connection, code: int, reason: str) -> None:
        """Give a live connection what is due, and let go of it."""
        self._delivery.catch_up(connection)
        self.close(connection, code, reason)

    def flush(self) -> Iterator[None]:
        """Write what is due, one write a step; see `Delivery.flush`."""
        return self._delivery.flush()

    def is_wanted(self, request: Request) -> bool:
        """Whether somebody still waits for the answer to ``request``."""
        return self._delivery.is_wanted(request)

    def supply(self, request: Request, chunk: Chunk) -> None:
        """The answer to ``request``; ignored if nobody waits for it any more.

        Not to be called from inside ``fetch``.
        """
        if chunk.lost is not None and request.epoch == self.log.epoch:
            self.log.first = max(self.log.first, chunk.lost[1] + 1)
        self._delivery.supply(request, chunk)

    def endpoints(self) -> Counter[str]:
        """How many connections are open, by endpoint; a name once seen stays, at zero."""
        counts = Counter(dict.fromkeys(self.counters.opened, 0))
        counts.update(connection.endpoint for connection in self.connections.values())
        return counts

    @property
    def readers(self) -> int:
        """How many connections read on in the log now."""
        return self._delivery.readers

    @property
    def waiting(self) -> int:
        """How many connections wait for what the stream holds."""
        return self._delivery.waiting

    def _begin(self, connection: Connection, after: int, reason: RecoveryReason | None) -> Recovery | None:
        """Set a connection in no group going, and say what it will get besides the news."""
        recovery = None
        if reason is not None:
            count = connection.cursor.count(self.log, after)
            recovery = _recovery(after, self.log.head, count, reason)
            self.counters.recoveries[recovery.reason] += 1
        self._delivery.go_on(connection)
        return recovery

    def _locate(self, since: int | None, epoch: str | None) -> tuple[int, RecoveryReason | None]:
        """Where a client's cursor lies in the log, and what that means for it."""
        if since is None:
            return self.log.head, None
        if epoch is not None and epoch != self.log.epoch:
            return 0, "stream_reset"
        if since > self.log.head:
            return self.log.head, "unknown_cursor"
        oldest = min(self.log.first - 1, self.log.floor)
        if since == 0 and epoch is None:
            return max(since, oldest), "replayed"
        return since, "too_old" if since < oldest else "replayed"


def _recovery(after: int, head: int, count: int | None, reason: RecoveryReason) -> Recovery:
    if reason == "replayed" and count == 0:
        reason = "nothing_missed"
    recovered = reason in {"replayed", "nothing_missed"}
    return Recovery(recovered=recovered, reason=reason, from_=after + 1, to=head, count=count)
