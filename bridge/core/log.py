"""The recent part of the log: a ring in memory, bounded in bytes, read from any place."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from heapq import merge
from operator import attrgetter

from bridge.core.addressed import Addressed
from bridge.core.entry import Entry
from bridge.core.lasting import Lasting
from bridge.core.view import View
from contracts.positions import StreamPosition, anchored
from contracts.subjects import ABSENT, ANY

_SEQ = attrgetter("seq")
_ROOM = 256
"""A full ring is emptied by one part in this many: seldom, but never so much that it takes long."""


_NO_EVENT = StreamPosition(0, 0)
_HEXADECIMAL = 16
_NANOSECONDS = 1_000
"""In a microsecond."""
_NOBODY = (ABSENT, ANY)
"""Tokens that no view names."""


class _Postings:
    """Entries by one token of their subject, in order."""

    __slots__ = ("_lists", "_slot")

    def __init__(self, slot: int) -> None:
        self._slot = slot
        self._lists: dict[str, list[Entry]] = {}

    def add(self, entry: Entry) -> None:
        token = entry.audience[self._slot]
        if token not in _NOBODY:
            self._lists.setdefault(token, []).append(entry)

    def drop(self, oldest: list[Entry]) -> None:
        counts = Counter(entry.audience[self._slot] for entry in oldest)
        for token in _NOBODY:
            del counts[token]
        for token, count in counts.items():
            entries = self._lists[token]
            del entries[:count]
            if not entries:
                del self._lists[token]

    def after(self, tokens: Iterable[str], seq: int) -> list[Iterator[Entry]]:
        return [_later(self._lists[token], seq) for token in tokens if token in self._lists]


def _later(entries: list[Entry], seq: int) -> Iterator[Entry]:
    """The entries after ``seq``, without a copy of them."""
    start = bisect_right(entries, seq, key=_SEQ)
    return map(entries.__getitem__, range(start, len(entries)))


class Log:
    """Every event of the stream after ``floor`` and up to ``head``, in order.

    Sequence numbers rise but need not be dense: what the stream let expire, or what was refused, leaves
    no entry. What lies at or before ``floor`` is not here any more, or never was: the stream may have it.
    """

    __slots__ = (
        "_below",
        "_by_crew",
        "_by_execution",
        "_entries",
        "_no_event",
        "_special",
        "addressed",
        "bytes",
        "end",
        "epoch",
        "first",
        "floor",
        "head",
        "lasting",
        "looked_ns",
        "max_bytes",
        "newest_gap",
    )

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.reset("", 0)

    def reset(self, epoch: str, floor: int, end: StreamPosition | None = None, looked_ns: int = 0) -> None:
        """Forget everything; the next entry is the first one after ``floor`` in ``epoch``.

        ``end``: the last message that the stream has given; ``looked_ns``: when that was so, by its clock.
        """
        self.epoch = epoch
        """The stream's incarnation, and this log's, if it is not the first one of that: ``<created>-<n>``."""
        self.end = end or StreamPosition(floor, 0)
        if self.end.seq == 0:
            self.end = self.beginning
        self._below = self.end
        """The newest message that is not in the ring: it was there before, or has left it."""
        self.looked_ns = looked_ns
        """Since then the stream is known not to have lost its end."""
        self._no_event = _NO_EVENT
        """The newest message without an entry."""
        self.floor = floor
        self.head = floor
        self.first = 0
        """The oldest ``seq`` that the stream still has, as far as is known: it may have less by now."""
        self.newest_gap = 0
        """Where the newest gap is announced, in the ring or before it."""
        self.bytes = 0
        self.addressed = Addressed(floor)
        self.lasting = Lasting(floor)
        self._entries: list[Entry] = []
        self._by_crew = _Postings(2)
        self._by_execution = _Postings(3)
        self._special: list[Entry] = []

    @property
    def created(self) -> str:
        """When the stream was made: what every bridge calls its epoch."""
        return self.epoch.partition("-")[0]

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def oldest_ns(self) -> int:
        """When the oldest entry was stored, in nanoseconds since 1970; 0 if there is none."""
        return self._entries[0].stored_ns if self._entries else 0

    def append(self, entry: Entry) -> None:
        """Put ``entry``, newer than the head, at the head; the oldest make room."""
        self._entries.append(entry)
        self.head = entry.seq
        self.bytes += entry.size
        if is_special(entry):
            self._special.append(entry)
        if entry.is_gap:
            self.newest_gap = entry.seq
        self.lasting.add(entry)
        if entry.client_id is not None:
            self.addressed.add(entry, entry.client_id)
        self._by_crew.add(entry)
        self._by_execution.add(entry)
        if self.bytes > self.max_bytes:
            self._make_room()

    def skip(self, seq: int, stored_ns: int = 0) -> None:
        """Move the head to ``seq``, which holds nothing for anybody, if it holds anything.

        ``stored_ns``: when that was stored.
        """
        self.head = max(self.head, seq)
        if stored_ns:
            self._no_event = StreamPosition(seq, stored_ns)

    def position(self, seq: int) -> StreamPosition | None:
        """Where somebody stands who was given everything up to ``seq``; None where that is not known here."""
        if seq == 0:
            return self.beginning
        if seq < self.floor:
            return None
        entry = self._last_event(seq)
        known = [self._below]
        if self._no_event.seq:
            known.append(self._no_event)
        if entry is not None:
            known.append(StreamPosition(entry.seq, entry.stored_ns))
        return max((position for position in known if position.seq <= seq), default=None)

    @property
    def beginning(self) -> StreamPosition:
        """Where somebody stands who was given nothing yet: stored, so to speak, when the stream was made."""
        return StreamPosition(0, int(self.created or "0", _HEXADECIMAL) * _NANOSECONDS)

    @property
    def anchor(self) -> str:
        """The epoch as clients are told it: with its newest position, gone if its end was lost."""
        return anchored(self.created, self.position(self.head))

    def holds(self, position: StreamPosition) -> bool:
        """Whether the stream had that message, or nothing later in its place; it lies after the floor."""
        entry = self._last_event(position.seq)
        if entry is None:
            return True
        is_it = entry.seq == position.seq
        return entry.stored_ns == position.stored_ns if is_it else entry.stored_ns <= position.stored_ns

    def _last_event(self, seq: int) -> Entry | None:
        """The newest event up to ``seq``; gaps are none."""
        index = bisect_right(self._entries, seq, key=_SEQ)
        older = map(self._entries.__getitem__, range(index - 1, -1, -1))
        return next((entry for entry in older if not entry.is_gap), None)

    def after(self, seq: int, view: View) -> Iterator[Entry]:
        """Entries after ``seq``, in order: all that ``view`` could want, and more that it does not.

        Not to be used any more once the log was appended to.
        """
        if view.executions is not None:
            return self._merged(self._by_execution.after(view.executions, seq), seq)
        if view.crews is not None:
            return self._merged(self._by_crew.after(view.crews, seq), seq)
        return _later(self._entries, seq)

    def _merged(self, lists: list[Iterator[Entry]], seq: int) -> Iterator[Entry]:
        """What is for all, and addressed entries, concern readers whatever their subject says."""
        return _distinct(merge(_later(self._special, seq), *lists, key=_SEQ))

    def _make_room(self) -> None:
        """The newest stays, however large it is."""
        target = self.max_bytes - self.max_bytes // _ROOM
        count = 0
        while self.bytes > target and count < len(self._entries) - 1:
            self.bytes -= self._entries[count].size
            self.floor = self._entries[count].seq
            count += 1
        oldest = self._entries[:count]
        del self._entries[:count]
        newest = next((entry for entry in reversed(oldest) if not entry.is_gap), None)
        if newest is not None:
            self._below = max(self._below, StreamPosition(newest.seq, newest.stored_ns))
        del self._special[: sum(map(is_special, oldest))]
        self._by_crew.drop(oldest)
        self._by_execution.drop(oldest)


def is_special(entry: Entry) -> bool:
    """Whether an entry is for readers that views alone do not tell: for all, or addressed to one client."""
    return entry.is_for_all or entry.client_id is not None


def _distinct(entries: Iterable[Entry]) -> Iterator[Entry]:
    last = 0
    for entry in entries:
        if entry.seq != last:
            last = entry.seq
            yield entry
