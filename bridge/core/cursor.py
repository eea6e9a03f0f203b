"""Where one connection is in the log, and which stretches of it are still to be given.

The log is given to a connection in segments, one after the other: each a stretch of the log under the view
that held there. The last one is open and follows the head. A cursor that has reached the head is *live*:
its connection sits in a group.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from bridge.core.entry import Entry
from bridge.core.history import Chunk, Request
from bridge.core.log import Log
from bridge.core.segment import Page, Segment
from bridge.core.view import View
from contracts.subjects import ANY, Pattern

MAX_GIVEN = 64
"""How many past segments are remembered, to leave them out of a later subscription's look back."""

MAX_TODO = 16
"""How many segments may wait: a client that lags cannot change its view more often than that."""

_MAX_ASKED = 1024
"""Questions whether a view wants an entry in one step, so that a step takes at most a few milliseconds."""

_MAX_COUNTED = 8192
"""Questions asked to count what a client missed: 10 ms, in which nothing else happens."""

Likeness = tuple[View, int, int, Chunk | None]
"""View, position, how much is read, and of what: the ring if not a chunk."""

_EVERYTHING = frozenset({Pattern(ANY, ANY, ANY, ANY)})


class Cursor:
    """The position of one connection, and its reading list.

    ``is_known``: the client chose its id, so events may have been addressed to it before it came.
    ``position`` is the last ``seq`` up to which the first segment was given. While the connection is in a
    group it may lag behind the head: what lies between was either not wanted or is held by the group.
    """

    __slots__ = ("_client_id", "_forgotten", "_given", "_is_known", "position", "todo")

    def __init__(
        self, view: View, after: int, client_id: str, *, is_known: bool = True, begin: int = 0, owed: int = 0
    ) -> None:
        self._client_id = client_id
        self._is_known = is_known
        self.position = after
        self.todo = [Segment((view,), after, begin=begin, owed=owed)]
        self._given: list[Segment] = []
        self._forgotten = 0

    def change_view(
        self,
        view: View,
        head: int,
        since: int | None = None,
        begin: int = 0,
        added: View | None = None,
        owed: int = 0,
    ) -> int | None:
        """From ``head`` on ``view`` holds; with ``since`` also look back for what ``added`` wants after that.

        ``added``: the part of ``view`` that is new, None for all of it. It is looked for from ``begin`` on at
        most; the client is told of the part before, and of what is gone after ``owed``. Returns where it
        really begins, None without a look back. Nothing that was given, or will be, is given again.
        """
        unread = [segment.narrowed(view, head) for segment in self._unread()]
        self.todo = [segment for segment in unread if segment.after < (segment.upto or 0)]
        if since is not None:
            begin = max(since, begin, self._forgotten)
            past = (*self._given, *(segment.covered() for segment in self.todo))
            self.todo.append(Segment((added or view,), since, head, begin, past, owed, is_backfill=True))
        self.todo.append(Segment((view,), head))
        self.position = self.todo[0].after
        return None if since is None else begin

    @property
    def is_busy(self) -> bool:
        """Whether the view was changed as often as it can be before the reading list gets shorter."""
        return max(len(self.todo), len(self.todo[0].views)) >= MAX_TODO

    @property
    def safe(self) -> int:
        """The ``seq`` up to which nothing is left to read, looking back included.

        A look back that is being read has been given up to ``position``: less would give it twice.
        """
        _, *later = self.todo
        return min([self.position, *(segment.after for segment in later if segment.is_backfill)])

    def is_at(self, head: int) -> bool:
        """Whether nothing is left to read."""
        return len(self.todo) == 1 and self.position >= head

    def read(self, log: Log, max_bytes: int, chunk: Chunk | None = None) -> Page | None:
        """The next entries to give, as many as fit in ``max_bytes`` (but one at least).

        `advance` confirms them. None: they are older than the ring and not in ``chunk``; see `request`.
        """
        segment = self.todo[0]
        end = log.head if segment.upto is None else segment.upto
        if self.position < segment.begin:
            return Page([], segment.begin, (self.position + 1, segment.begin), "too_many")
        if self.position >= min(log.floor, end):
            return self._page(log.after(self.position, segment.views[-1]), end, max_bytes)
        if chunk is None or not self._is_served_by(chunk, log, segment, self.position):
            return None
        if chunk.lost is not None and chunk.lost[1] > self.position:
            upto = min(chunk.lost[1], log.floor, end)
            is_loss = log.lasting.any_in(self.position, upto)
            return Page([], upto, (self.position + 1, upto) if is_loss else None)
        return self._page(chunk.later(self.position), min(chunk.upto, log.floor, end), max_bytes)

    def _page(self, source: Iterator[Entry], end: int, max_bytes: int) -> Page:
        """What the first segment wants of ``source``, which holds all of it up to ``end``.

        A page that is full ends with what was looked at last: what a gap names may begin right behind it.
        """
        segment = self.todo[0]
        entries: list[Entry] = []
        size, is_common, seen = 0, True, self.position
        most = max(1, _MAX_ASKED // (len(segment.views) + len(segment.unless)))
        for scanned, entry in enumerate(source):
            if entry.seq > end:
                break
            if scanned == most:
                return Page(entries, seen, is_common=is_common)
            is_common = is_common and entry.client_id is None
            if entry.client_id in (None, self._client_id) and segment.wants(entry):
                size += len(entry.frame)
                if entries and size > max_bytes:
                    return Page(entries, seen, is_common=is_common)
                entries.append(entry)
            seen = entry.seq
        return Page(entries, end, is_common=is_common)

    def likeness(self, log: Log, chunk: Chunk | None, max_bytes: int) -> Likeness | None:
        """Equal ones are given the same page, if it `is_common`; None: this one is like no other."""
        segment = self.todo[0]
        if len(self.todo) > 1 or len(segment.views) > 1 or self.position < segment.begin:
            return None
        if self.position >= log.floor:
            return segment.views[0], self.position, max_bytes, None
        if chunk is None or not self._is_served_by(chunk, log, segment, self.position):
            return None
        if chunk.holes and segment.owed > self.position:
            return None
        return segment.views[0], self.position, max_bytes, chunk

    def request(self, log: Log) -> Request:
        """What to ask the stream for, where `read` says None."""
        patterns = self._patterns(log, self.todo[0], self.position, log.floor)
        return Request(log.epoch, patterns, self.position, log.floor)

    def _is_served_by(self, chunk: Chunk, log: Log, segment: Segment, position: int) -> bool:
        """Whether ``chunk`` says what comes after ``position``; it may have been read for another segment.

        It may reach into the ring, where the stream has lost what the ring still has: that part is not read.
        """
        if chunk.epoch != log.epoch or not chunk.covers(position):
            return False
        return self._patterns(log, segment, position, min(chunk.upto, log.floor)) <= chunk.patterns

    def _patterns(self, log: Log, segment: Segment, after: int, upto: int) -> frozenset[Pattern]:
        """What selects all that the segment may want of what the stream holds in (``after``, ``upto``]."""
        patterns = segment.views[-1].patterns
        if segment.is_backfill:
            return patterns
        if self._is_known and after < log.addressed.known_from:
            return _EVERYTHING
        return patterns.union(map(Pattern._make, log.addressed.subjects(self._client_id, after, upto)))

    def count(self, log: Log, after: int, chunk: Chunk | None = None) -> int | None:
        """How many events after ``after`` are to be given, None where that cannot be said at once."""
        count = 0
        for entry in self.left(log, after, chunk):
            if entry is None:
                return None
            count += 1
        return count

    def left(self, log: Log, after: int = 0, chunk: Chunk | None = None) -> Iterator[Entry | None]:
        """The events after ``after`` that are still to be given.

        None stands for any number of them: those that are older than the ring and not in ``chunk``, or all
        the rest, where to look at it would hold up others.
        """
        looked_at = 0
        for number, segment in enumerate(self.todo):
            start = max(segment.after if number else self.position, segment.begin, after)
            end = log.head if segment.upto is None else segment.upto
            source = self._source(log, segment, start, end, chunk)
            if source is None:
                yield None
                source = log.after(log.floor, segment.views[-1])
            for entry in source:
                looked_at += 1 + len(segment.unless)
                if entry.seq > end:
                    break
                if looked_at > _MAX_COUNTED:
                    yield None
                    return
                if not entry.is_gap and entry.client_id in (None, self._client_id) and segment.wants(entry):
                    yield entry

    def _source(
        self, log: Log, segment: Segment, start: int, end: int, chunk: Chunk | None
    ) -> Iterator[Entry] | None:
        """All that the segment may want after ``start``, None where a part is known to the stream only."""
        if start >= min(log.floor, end):
            return log.after(start, segment.views[-1])
        if chunk is None or not self._is_served_by(chunk, log, segment, start) or chunk.upto < log.floor:
            return None
        older = (entry for entry in chunk.later(start) if entry.seq <= log.floor)
        return chain(older, log.after(log.floor, segment.views[-1]))

    def advance(self, upto: int) -> None:
        """Everything of the first segment up to ``upto`` is given."""
        self.position = upto
        end = self.todo[0].upto
        if end is not None and upto >= end:
            self._remember(self.todo.pop(0))
            self.position = self.todo[0].after

    def _unread(self) -> list[Segment]:
        """The reading list without what the first segment has given already."""
        first, *others = self.todo
        if self.position > first.after:
            self._remember(replace(first, upto=self.position))
            first = replace(first, after=self.position)
        return [first, *others]

    def _remember(self, segment: Segment) -> None:
        self._given.append(segment.covered())
        if len(self._given) > MAX_GIVEN:
            self._forgotten = max(self._forgotten, self._given.pop(0).upto or 0)
