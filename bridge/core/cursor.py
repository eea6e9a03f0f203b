"""Where one connection is in the log, and which stretches of it are still to be given.

The log is given to a connection in segments, one after the other: each a stretch of the log under the view
that held there. The last one is open and follows the head. A cursor that has reached the head is *live*:
its connection sits in a group.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import NamedTuple

from bridge.core.entry import Entry
from bridge.core.log import Log
from bridge.core.view import View

MAX_GIVEN = 64
"""How many past segments are remembered, to leave them out of a later subscription's look back."""

MAX_TODO = 16
"""How many segments may wait: a client that lags cannot change its view more often than that."""

_MAX_ASKED = 1024
"""Questions whether a view wants an entry in one step, so that a step takes at most a few milliseconds."""

_MAX_COUNTED = 8192
"""Questions asked to count what a client missed: 10 ms, in which nothing else happens."""


@dataclass(frozen=True, slots=True)
class Segment:
    """The events in (``after``, ``upto``] that all ``views`` want and no segment of ``unless`` gives."""

    views: tuple[View, ...]
    after: int
    upto: int | None = None
    """None: on and on, with the head."""
    unless: tuple["Segment", ...] = ()
    is_backfill: bool = False
    """Looks back for a subscription that came later; addressed events, which need none, are not for it."""

    def wants(self, entry: Entry) -> bool:
        """Whether the segment gives an entry that is addressed to this client or to nobody."""
        if entry.seq <= self.after or (self.upto is not None and entry.seq > self.upto):
            return False
        if entry.client_id is not None:
            return not self.is_backfill
        if not entry.is_gap and not all(view.wants(entry) for view in self.views):
            return False
        return not any(past.wants(entry) for past in self.unless)

    def narrowed(self, view: View, head: int) -> "Segment":
        """What of it is left when from ``head`` on another view holds: it has to please both."""
        views = self.views if view in self.views else (*self.views, view)
        return replace(self, views=views, upto=head if self.upto is None else self.upto)

    def covered(self) -> "Segment":
        """The events that it gives or leaves to others, which are all given by somebody.

        Segments that others exclude are kept in this form: else each would keep all that were before it.
        """
        return replace(self, unless=())


class Page(NamedTuple):
    """One step of reading: these entries, and with them everything up to ``upto`` is given."""

    entries: list[Entry]
    upto: int
    lost: tuple[int, int] | None = None
    """First and last ``seq`` of a stretch that is not in the log any more."""


class Cursor:
    """The position of one connection, and its reading list.

    ``position`` is the last ``seq`` up to which the first segment was given. While the connection is in a
    group it may lag behind the head: what lies between was either not wanted or is held by the group.
    """

    __slots__ = ("_forgotten", "_given", "position", "todo")

    def __init__(self, view: View, after: int) -> None:
        self.position = after
        self.todo = deque([Segment((view,), after)])
        self._given: deque[Segment] = deque()
        self._forgotten = 0

    def change_view(self, view: View, head: int, since: int | None = None) -> int | None:
        """From ``head`` on ``view`` holds; with ``since`` also look back for what it adds after that.

        Returns where the look back really begins, None without one. Nothing that was given, or will be, is
        given again.
        """
        unread = [segment.narrowed(view, head) for segment in self._unread()]
        self.todo = deque(segment for segment in unread if segment.after < (segment.upto or 0))
        begin = None if since is None else max(since, self._forgotten)
        if begin is not None:
            past = (*self._given, *(segment.covered() for segment in self.todo))
            self.todo.append(Segment((view,), begin, head, past, is_backfill=True))
        self.todo.append(Segment((view,), head))
        self.position = self.todo[0].after
        return begin

    @property
    def is_busy(self) -> bool:
        """Whether the view was changed as often as it can be before the reading list gets shorter."""
        return max(len(self.todo), len(self.todo[0].views)) >= MAX_TODO

    @property
    def safe(self) -> int:
        """The ``seq`` up to which nothing is left to read, looking back included."""
        return min([self.position, *(segment.after for segment in self.todo if segment.is_backfill)])

    def is_at(self, head: int) -> bool:
        """Whether nothing is left to read."""
        return len(self.todo) == 1 and self.position >= head

    def read(self, log: Log, client_id: str, max_bytes: int) -> Page:
        """The next entries to give, as many as fit in ``max_bytes`` (but one at least).

        `advance` confirms them.
        """
        segment = self.todo[0]
        end = log.head if segment.upto is None else segment.upto
        if self.position < min(log.floor, end):
            upto = min(log.floor, end)
            return Page([], upto, (self.position + 1, upto))
        entries: list[Entry] = []
        size = 0
        most = max(1, _MAX_ASKED // (len(segment.views) + len(segment.unless)))
        for scanned, entry in enumerate(log.after(self.position, segment.views[-1])):
            if entry.seq > end:
                break
            if scanned == most:
                return Page(entries, entry.seq - 1)
            if entry.client_id in (None, client_id) and segment.wants(entry):
                size += len(entry.frame)
                if entries and size > max_bytes:
                    return Page(entries, entry.seq - 1)
                entries.append(entry)
        return Page(entries, end)

    def count(self, log: Log, client_id: str, after: int) -> int | None:
        """How many events after ``after`` are to be read now; None where counting would take too long."""
        count = looked_at = 0
        for segment in self.todo:
            for entry in log.after(max(segment.after, after), segment.views[-1]):
                looked_at += 1 + len(segment.unless)
                if looked_at > _MAX_COUNTED:
                    return None
                mine = not entry.is_gap and entry.client_id in (None, client_id)
                count += mine and segment.wants(entry)
        return count

    def advance(self, upto: int) -> None:
        """Everything of the first segment up to ``upto`` is given."""
        self.position = upto
        end = self.todo[0].upto
        if end is not None and upto >= end:
            self._remember(self.todo.popleft())
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
            self._forgotten = max(self._forgotten, self._given.popleft().upto or 0)
