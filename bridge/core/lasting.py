"""Where the events are that the stream was to keep: the others are gone after minutes, which is no loss."""

from array import array
from bisect import bisect_right
from functools import lru_cache
from typing import Final

from bridge.core.entry import Entry
from contracts.types import is_short_lived

_MOST: Final = 262_144
"""2 MiB; beyond it the older half is forgotten, and taken for events that were to be kept."""

_passes = lru_cache(maxsize=1024)(is_short_lived)


class Lasting:
    """The places of the log's lasting events after ``known_from``."""

    __slots__ = ("_most", "_seqs", "known_from")

    def __init__(self, known_from: int, most: int = _MOST) -> None:
        self.known_from = known_from
        self._most = most
        self._seqs = array("q")

    def add(self, entry: Entry) -> None:
        """An entry newer than all before; only a lasting one is remembered."""
        if not entry.is_gap and _passes(entry.event_type):
            return
        self._seqs.append(entry.seq)
        if len(self._seqs) > self._most:
            half = self._most // 2
            self.known_from = self._seqs[half - 1]
            del self._seqs[:half]

    def any_in(self, after: int, upto: int) -> bool:
        """Whether a lasting event was in (``after``, ``upto``], or may have been."""
        if after < self.known_from:
            return True
        place = bisect_right(self._seqs, after)
        return place < len(self._seqs) and self._seqs[place] <= upto
