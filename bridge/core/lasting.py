"""Where the events are that the stream was to keep: the others are gone after minutes, which is no loss."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final

from bridge.core.entry import Entry
from contracts.subjects import ANY, Pattern
from contracts.types import is_short_lived

_MOST: Final = 262_144
"""10 MiB; beyond it the older half is forgotten, and taken for events that were to be kept."""
_A_STEP: Final = 8_192
"""Events looked at before others have their turn: a millisecond."""
_EVERYBODY: Final = 0
"""In the place of every token of an event that is for all, whatever they subscribed to."""

_WIDTH: Final = len(Pattern._fields)
_FOR_ALL: Final = (_EVERYBODY,) * _WIDTH

_passes = lru_cache(maxsize=1024)(is_short_lived)


class Lasting:
    """The places of the log's lasting events after ``known_from``, and whom they were for.

    Their tokens are kept as hashes: the tokens themselves would take ten times the room.
    """

    __slots__ = ("_most", "_seqs", "_step", "_tokens", "known_from")

    def __init__(self, known_from: int, most: int = _MOST, step: int = _A_STEP) -> None:
        self.known_from = known_from
        self._most, self._step = most, step
        self._seqs = array("q")
        self._tokens = array("q")
        """As many for each as a subject has."""

    def add(self, entry: Entry) -> None:
        """An entry newer than all before; only a lasting one is remembered."""
        if entry.has_ttl or (not entry.is_gap and _passes(entry.event_type)):
            return
        self._seqs.append(entry.seq)
        self._tokens.extend(_FOR_ALL if entry.is_for_all else map(hash, entry.audience))
        if len(self._seqs) > self._most:
            half = self._most // 2
            self.known_from = self._seqs[half - 1]
            del self._seqs[:half]
            del self._tokens[: half * _WIDTH]

    def any_in(self, after: int, upto: int) -> bool:
        """Whether a lasting event was in (``after``, ``upto``], or may have been."""
        if after < self.known_from:
            return True
        place = bisect_right(self._seqs, after)
        return place < len(self._seqs) and self._seqs[place] <= upto

    def missing(
        self, patterns: Iterable[Pattern], after: int, upto: int, found: Collection[int]
    ) -> tuple[list[int], int]:
        """The lasting events after ``after`` that ``patterns`` select and that are not among ``found``.

        Up to ``upto``, or to the place that is returned with them: so far it looks in one step. What was
        before ``known_from`` is not known, and never among them.
        """
        begin = bisect_right(self._seqs, after)
        end = min(bisect_right(self._seqs, upto, lo=begin), begin + self._step)
        selected = {place for pattern in patterns for place in self._selected(pattern, begin, end)}
        missing = [seq for place in sorted(selected) if (seq := self._seqs[place]) not in found]
        is_all = end == len(self._seqs) or self._seqs[end] > upto
        return missing, upto if is_all else self._seqs[end - 1]

    def _selected(self, pattern: Pattern, begin: int, end: int) -> Iterable[int]:
        places: Iterable[int] = range(begin, end)
        for slot, token in enumerate(pattern):
            if token != ANY:
                wanted = (hash(token), _EVERYBODY)
                places = [place for place in places if self._tokens[place * _WIDTH + slot] in wanted]
        return places


def stretches(missing: Iterable[int], found: list[int]) -> list[tuple[int, int]]:
    """First and last of what is missing between any two of ``found``, which are in order."""
    joined: dict[int, tuple[int, int]] = {}
    for seq in missing:
        place = bisect_left(found, seq)
        joined[place] = (joined.get(place, (seq, seq))[0], seq)
    return list(joined.values())
