"""The part of the log that is older than the ring: what is asked of the stream, and what it answers."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from operator import attrgetter

from bridge.core.entry import Entry
from contracts.messages import Gap
from contracts.subjects import Pattern

_SEQ = attrgetter("seq")


@dataclass(frozen=True, slots=True)
class Request:
    """The events after ``after`` in ``epoch`` that any of ``patterns`` selects.

    Who asks is no part of it, so that equal requests can be answered with one read.
    """

    epoch: str
    patterns: frozenset[Pattern]
    after: int
    upto: int = field(compare=False)
    """Where the ring begins, at the moment: nothing behind it is needed."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """All that ``patterns`` select in (``after``, ``upto``], and maybe more; shared by all who asked."""

    epoch: str
    patterns: frozenset[Pattern]
    after: int
    upto: int
    entries: Sequence[Entry]
    lost: tuple[int, int] | None = None
    """First and last ``seq`` of what the stream holds no more, from ``after`` on."""
    holes: Sequence[tuple[int, int]] = ()
    """The same of what was taken from between; ``entries`` has a gap for each."""

    def covers(self, position: int) -> bool:
        """Whether it says what comes next for a reader that was given everything up to ``position``."""
        return self.after <= position < self.upto

    def lacks(self, position: int) -> bool:
        """Whether something was taken from between that came after ``position``."""
        return any(last > position for _, last in self.holes)

    def later(self, seq: int) -> Iterator[Entry]:
        """The entries after ``seq``."""
        start = bisect_right(self.entries, seq, key=_SEQ)
        return map(self.entries.__getitem__, range(start, len(self.entries)))


def with_gaps(entries: Iterable[Entry], holes: Iterable[tuple[int, int]]) -> tuple[Entry, ...]:
    """The entries, and at its place a gap for each of the ``holes``, for who has asked for these entries."""
    gaps = (Entry.of_gap(Gap(from_=a, to=b, reason="too_old"), is_for_all=False) for a, b in holes)
    return tuple(merge(entries, gaps, key=_SEQ))
