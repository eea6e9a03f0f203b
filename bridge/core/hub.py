"""The bridge's heart: events come in, connections come and go, each is given what its view wants.

Everything here is synchronous: two events can never interleave, so every connection sees one order.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from bridge.core.connection import Connection
from bridge.core.counters import Counters
from bridge.core.cursor import Cursor
from bridge.core.delivery import WRITES_A_STEP, Delivery
from bridge.core.entry import Entry
from bridge.core.history import Chunk, Request
from bridge.core.log import Log
from bridge.core.place import Place, locate, recovery_of
from bridge.core.router import EventRouter
from bridge.core.socket import CloseCode
from bridge.core.start import Addressee
from bridge.core.view import View
from contracts.messages import Gap, GapReason, Recovery, RecoveryReason
from contracts.positions import StreamPosition


class Hub:
    """Gives every connection exactly what its view wants, once, in order, or says what is missing.

    ``wake``: there is something to flush. ``full``: a connection's socket is; whoever hears it calls
    `drained` when there is room again. ``fetch``: connections need what the stream holds and the ring does
    not; whoever hears it calls `supply`, later, as soon as it can. ``now``: nanoseconds since 1970, to know
    the age of what is sent. ``max_replay``: how many events of the log a client may look back.
    ``writes_a_step``: see `Delivery`.
    """

    def __init__(
        self,
        log: Log,
        *,
        buffer_limit: int,
        wake: Callable[[], None],
        full: Callable[[Connection], None],
        fetch: Callable[[Request], None],
        now: Callable[[], int],
        max_replay: int | None = None,
        writes_a_step: int = WRITES_A_STEP,
    ) -> None:
        self.log = log
        self._max_replay = max_replay
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
            writes_a_step=writes_a_step,
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

    def reject(self, seq: int, field: str, stored_ns: int = 0) -> None:
        """What the stream holds at ``seq`` is no event: ``field`` is its first bad field."""
        self.counters.rejected[field] += 1
        self.log.skip(seq, stored_ns)

    def announce_gap(self, first: int, last: int, reason: GapReason) -> None:
        """The stream holds ``first``..``last`` no more, and the log never had them: tell everybody."""
        entry = Entry.of_gap(Gap(from_=first, to=last, reason=reason))
        self.counters.gaps[reason] += 1
        self.log.first = max(self.log.first, last + 1)
        self.log.append(entry)
        self.router.route(entry)

    def reset(self, epoch: str, floor: int, end: StreamPosition | None = None, looked_ns: int = 0) -> None:
        """The stream is another one: end all connections, and begin a new log; see `Log.reset`."""
        for connection in tuple(self.connections.values()):
            self.close(connection, CloseCode.STREAM_RESET, "the stream was made anew")
        self.log.reset(epoch, floor, end, looked_ns)

    def open(
        self,
        connection: Connection,
        since: int | None = None,
        epoch: str | None = None,
        chunk: Chunk | None = None,
        *,
        is_verified: bool = True,
        is_owed: bool = True,
    ) -> Recovery | None:
        """Take a new connection in: live from now on, or from ``since`` of ``epoch``.

        ``since`` 0 of no epoch in particular is everything that is kept: what is gone already is no gap then.
        ``chunk``: what the stream has there, as `question` asked; without it the answer cannot be exact.
        ``is_verified``: False where the stream may have lost what the client was given before ``since``.
        ``is_owed``: False where the client has not been there: what is gone from the middle is no gap then.
        Events follow from the next flush on: what is said to the connection before that, it gets first.
        An older connection of the same client, which is dead or soon will be, ends.
        """
        older = self.connections.get(connection.client_id)
        if older is not None:
            self.close(older, CloseCode.REPLACED, "the client connected again")
        self.connections[connection.client_id] = connection
        self.counters.opened[connection.endpoint] += 1
        self._settle_view(connection)
        place = self._locate(since, epoch, chunk, is_verified=is_verified, is_owed=is_owed)
        connection.cursor = self._cursor(connection, connection.view, place)
        return self._begin(connection, place.begin, place.reason, chunk)

    def change_view(
        self,
        connection: Connection,
        *,
        added: View | None = None,
        since: int | None = None,
        epoch: str | None = None,
        chunk: Chunk | None = None,
        is_verified: bool = True,
        is_owed: bool = True,
    ) -> Recovery | None:
        """Subscriptions or filter of the connection changed: from now on they hold.

        With ``since``, what ``added`` wants (None: the whole view) and was not given yet is looked up in the
        log after it as well; ``chunk``, ``is_verified`` and ``is_owed`` as in `open`.
        """
        self._delivery.catch_up(connection)
        self.router.leave(connection)
        self._settle_view(connection)
        place = self._locate(since, epoch, chunk, is_verified=is_verified, is_owed=is_owed)
        after, least, owed, reason = place
        head = self.log.head
        past = after if reason else None
        begin = connection.cursor.change_view(connection.view, head, past, least, added, owed)
        if begin is None:
            return self._begin(connection, after, None, None)
        return self._begin(connection, begin, reason if begin == least else "too_many", chunk)

    def _settle_view(self, connection: Connection) -> None:
        """Equal views are one object, and so are their filters: there may be thousands of each."""
        connection.view = self.router.known(connection.current_view())
        connection.filter = connection.view.filter

    def question(
        self, client: Addressee, view: View, since: int | None, epoch: str | None, *, is_backfill: bool
    ) -> Request | None:
        """What of the stream's past has to be known to answer a cursor exactly, None if the ring has it.

        ``is_backfill``: the client has a connection already, and ``view`` is what its view gets in addition.
        """
        place = locate(self.log, since, epoch, self._max_replay)
        if place.begin >= self.log.floor:
            return None
        if is_backfill:
            return Request(self.log.epoch, view.patterns, place.begin, self.log.floor)
        return self._cursor(client, view, place._replace(after=place.begin)).request(self.log)

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
        """Write what is due; see `Delivery.flush`."""
        return self._delivery.flush()

    def is_wanted(self, request: Request) -> bool:
        """Whether somebody still waits for the answer to ``request``."""
        return self._delivery.is_wanted(request)

    def supply(self, request: Request, chunk: Chunk) -> None:
        """The answer to ``request``; ignored if nobody waits for it any more.

        Not to be called from inside ``fetch``.
        """
        self._learn(chunk)
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

    def _begin(
        self, connection: Connection, after: int, reason: RecoveryReason | None, chunk: Chunk | None
    ) -> Recovery | None:
        """Set a connection in no group going, and say what it will get besides the news."""
        recovery = None
        if reason is not None:
            count = connection.cursor.count(self.log, after, chunk)
            recovery = recovery_of(after, self.log.head, count, reason)
            self.counters.recoveries[recovery.reason] += 1
        self._delivery.go_on(connection)
        return recovery

    @staticmethod
    def _cursor(client: Addressee, view: View, place: Place) -> Cursor:
        after, begin, owed, _ = place
        return Cursor(view, after, client.client_id, is_known=client.is_known, begin=begin, owed=owed)

    def _locate(
        self, since: int | None, epoch: str | None, chunk: Chunk | None, *, is_verified: bool, is_owed: bool
    ) -> Place:
        if chunk is not None:
            self._learn(chunk)
        place = locate(self.log, since, epoch, self._max_replay, chunk)
        if not is_owed:
            place = place._replace(owed=self.log.head)
        if place.reason != "replayed":
            return place
        if not is_verified:
            return place._replace(reason="unverified")
        is_loss = chunk is not None and chunk.lacks(place.owed)
        return place._replace(reason="too_old") if is_loss else place

    def _learn(self, chunk: Chunk) -> None:
        """The stream has said what it has lost."""
        if chunk.lost is not None and chunk.epoch == self.log.epoch:
            self.log.first = max(self.log.first, chunk.lost[1] + 1)
