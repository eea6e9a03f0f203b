"""Where a client that comes back, or comes late, begins: found out before it is told."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from bridge.archive import Archive
from bridge.core.entry import Entry
from bridge.core.history import Chunk, Request
from bridge.core.hub import Hub
from bridge.core.start import Addressee, Found, Start
from bridge.core.view import View
from contracts.positions import StreamPosition
from contracts.subjects import Pattern

T = TypeVar("T")

_PATIENCE_SECONDS: Final = 5.0
_BEHIND_SECONDS: Final = 2.0
"""So long a stream may not have what was read of it: a new leader takes up what was agreed on before."""
_ANOTHER: Final = "another"
"""The epoch of no stream."""
_ROUNDING_NS: Final = 2_000
"""The stream is asked in microseconds."""
_POLL_SECONDS: Final = 0.005
_AT_ONCE: Final = 4
"""Searches in the stream at the same time."""
_MEMORY_SECONDS: Final = 1.0
"""What was found out for one client holds for others who ask the same within so long."""
_MOST_REMEMBERED: Final = 1_000
_NEAR: Final = 256
"""Where the search for a place ends: so many sequence numbers are read rather than searched."""
_MOST_CHUNKS: Final = 64
"""Reads in the search for the newest events of a view that selects few of them."""
_SCANNED_AT_ONCE: Final = 1_000
"""Events of the ring looked at before others have their turn: a millisecond."""


class Past(Protocol):
    """What the stream can be asked. Each raises `OSError` where it does not answer."""

    async def span(self) -> tuple[int, int]:
        """First and last ``seq``."""
        ...

    async def before(self, time_ns: int) -> int:
        """The last ``seq`` stored before then."""
        ...

    async def stored_ns(self, seq: int) -> int | None:
        """When the message ``seq`` was stored; None if there is none."""
        ...

    async def count(self, patterns: frozenset[Pattern], after: int) -> int:
        """How many messages after ``after`` the patterns select, at most."""
        ...


class Seeker:
    """Turns what clients ask for into places of the log."""

    def __init__(self, hub: Hub, archive: Archive) -> None:
        self._hub = hub
        self._archive = archive
        self._past: Past | None = None
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._known: dict[object, tuple[float, object]] = {}

    @contextmanager
    def asking(self, past: Past) -> Iterator[None]:
        """The stream is there to be asked as long as this lasts."""
        self._past = past
        try:
            yield
        finally:
            self._past = None

    async def seek(self, client: Addressee, view: View, start: Start, *, is_backfill: bool = False) -> Found:
        """Where ``start`` is, for a client with this view; at once if the ring knows.

        ``is_backfill``: it has a connection already, and looks back for what is new in ``view``. Raises
        `OSError` where that cannot be found out within seconds: what is not known is not said.
        """
        async with asyncio.timeout(_PATIENCE_SECONDS):
            found = await self._place(client, view, start)
            request = self._hub.question(client, view, found.since, found.epoch, is_backfill=is_backfill)
            return found if request is None else replace(found, chunk=await self._read(request))

    async def _read(self, request: Request) -> Chunk:
        """What the stream has there; what was read before will do while retention has not come to its end."""
        known = self._archive.known(request)
        if known is not None and known.upto < request.upto:
            first, _ = await self._shared("span", lambda past: past.span())
            if first <= known.upto + 1:
                self._archive.shared += 1
                return known
        return await self._archive.ask(request)

    async def _place(self, client: Addressee, view: View, start: Start) -> Found:
        log, time_ns, last = self._hub.log, start.time_ns, start.last
        epoch = log.epoch
        if time_ns is not None:
            since = await self._shared(("time", time_ns), lambda past: past.before(time_ns))
            if since > log.head:
                await self._reach(since)
            return Found(since, epoch, is_owed=False)
        if last is not None:
            return Found(await self._newest(client, view, last), epoch, is_owed=False)
        if start.since is None:
            return Found()
        return await self._verified(start.since, start)

    async def _verified(self, since: int, start: Start) -> Found:
        """Whether the stream still is the one that the client has seen, up to ``since`` and `Start.mark`."""
        log, mark = self._hub.log, start.mark
        epoch = log.epoch
        if start.epoch not in (None, log.created):
            return Found(since, _ANOTHER)
        most = since if mark is None else max(since, mark.seq)
        if most > log.head:
            await self._reach(most)
        if start.epoch is None and mark is None:
            return Found(since, is_verified=since == 0)
        if most > log.head or not (mark is None or await self._is_there(mark)):
            return Found(since, _ANOTHER)
        is_verified = since == 0 or (mark is not None and self._covers(mark, since))
        return Found(since, epoch, is_verified=is_verified)

    def _covers(self, mark: StreamPosition, since: int) -> bool:
        """Whether the stream cannot have lost its end after ``mark`` and before ``since``.

        What it lost while the feed reads it, the feed has seen.
        """
        return since <= mark.seq or mark.stored_ns >= self._hub.log.looked_ns

    async def _is_there(self, mark: StreamPosition) -> bool:
        """Whether the stream has that message, or had it: it has nothing later in its place.

        Of a newest message that is gone a server may say another time, once it was started again: who began
        after that tells its clients so, and the ring knows better.
        """
        seq, stored_ns = mark
        if seq == 0:
            return mark == self._hub.log.beginning
        if seq > self._hub.log.floor and self._hub.log.holds(mark):
            return True
        found = await self._shared(("stored", seq), lambda past: past.stored_ns(seq))
        if found is not None:
            return found == stored_ns
        just_after = stored_ns + _ROUNDING_NS
        return await self._shared(("time", just_after), lambda past: past.before(just_after)) >= seq

    async def _reach(self, seq: int) -> None:
        """A cursor from another bridge may be ahead of this one for a moment: wait for what it knows."""
        now = asyncio.get_running_loop().time
        until = now() + _BEHIND_SECONDS
        while (last := await self._last(seq)) < seq and now() < until:  # noqa: ASYNC110 - so is the stream asked
            await asyncio.sleep(_MEMORY_SECONDS)
        while self._hub.log.head < min(seq, last):  # noqa: ASYNC110 - the hub tells nobody of its head
            await asyncio.sleep(_POLL_SECONDS)

    async def _last(self, seq: int) -> int:
        return (await self._shared(("span", seq), lambda past: past.span()))[1]

    async def _newest(self, client: Addressee, view: View, count: int) -> int:
        """The place after which ``count`` events of the view come, if there are so many."""
        log = self._hub.log
        floor = log.floor
        ring = await self._in_ring(client, view, count)
        if len(ring) == count:
            return ring[-1] - 1
        first, _ = await self._shared(("span", log.epoch), lambda past: past.span())
        if first > floor:
            return floor
        missing = count - len(ring)
        key = ("newest", log.epoch, view.patterns, view.filter, missing, floor)
        return await self._shared(
            key, lambda past: self._in_stream(past, client, view, missing, first, floor)
        )

    async def _in_ring(self, client: Addressee, view: View, count: int) -> list[int]:
        """The newest events of the view in the ring, up to ``count``, the newest first."""
        log = self._hub.log
        found: list[int] = []
        for number, entry in enumerate(reversed(list(log.after(log.floor, view))), 1):
            if _is_for(client, view, entry):
                found.append(entry.seq)
                if len(found) == count:
                    break
            if number % _SCANNED_AT_ONCE == 0:
                await asyncio.sleep(0)
        return found

    async def _in_stream(
        self, past: Past, client: Addressee, view: View, count: int, first: int, floor: int
    ) -> int:
        """As `_newest`, of the events between ``first`` and ``floor``.

        The patterns may select more than the view wants: then more of it is read, until that is enough.
        """
        wanted = count
        while True:
            begin = await self._so_many(past, view.patterns, wanted, first - 1, floor)
            found = await self._between(client, view, begin, floor)
            if found is None or begin < first:
                return begin if found is None or len(found) < count else found[-count] - 1
            if len(found) >= count:
                return found[-count] - 1
            wanted *= 4

    async def _so_many(
        self, past: Past, patterns: frozenset[Pattern], wanted: int, begin: int, end: int
    ) -> int:
        """A place after which, up to ``end``, the patterns select at least ``wanted``, or else ``begin``."""
        beyond = await past.count(patterns, end)
        low, high = begin, end
        while high - low > _NEAR:
            middle = (low + high) // 2
            if await past.count(patterns, middle) - beyond >= wanted:
                low = middle
            else:
                high = middle
        return low

    async def _between(self, client: Addressee, view: View, after: int, upto: int) -> list[int] | None:
        """The events of the view in (``after``, ``upto``], None if it takes too many reads to find them."""
        found: list[int] = []
        for _ in range(_MOST_CHUNKS):
            request = Request(self._hub.log.epoch, view.patterns, after, upto)
            chunk = await self._read(request)
            found += [e.seq for e in chunk.later(after) if e.seq <= upto and _is_for(client, view, e)]
            after = chunk.upto
            if after >= upto:
                return found
        return None

    async def _shared(self, key: object, find: Callable[[Past], Awaitable[T]]) -> T:
        """What ``find`` finds, once for all who want to know ``key`` at about the same time."""
        key = self._hub.log.epoch, key
        async with self._turns:
            now = asyncio.get_running_loop().time()
            until, value = self._known.get(key, (0.0, None))
            if now < until:
                return value  # type: ignore[return-value]  # what find returned for this key
            if self._past is None:
                raise OSError("there is no connection to the stream")
            answer = await find(self._past)
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[key] = (asyncio.get_running_loop().time() + _MEMORY_SECONDS, answer)
            return answer


def _is_for(client: Addressee, view: View, entry: Entry) -> bool:
    """Whether an entry is an event that the client would get."""
    if entry.client_id is not None:
        return entry.client_id == client.client_id
    return not entry.is_gap and (entry.is_for_all or view.wants(entry))
