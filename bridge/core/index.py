"""Patterns to what is subscribed under them, found by subject without looking at every pattern.

A pattern has four tokens, each exact or ``*``, so there are 16 shapes of pattern. A subject is looked up
once in each shape that is in use: the cost depends on the number of shapes, never of patterns.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

from contracts.subjects import ANY, Pattern, Subject

T = TypeVar("T", bound=Hashable)

_CACHE_LIMIT = 65_536
"""Subjects whose matches are remembered; each costs about 200 bytes."""

Shape = tuple[bool, bool, bool, bool]


def shape_of(pattern: Pattern) -> Shape:
    """Which tokens are exact."""
    family, action, crew_id, execution_id = pattern
    return (family != ANY, action != ANY, crew_id != ANY, execution_id != ANY)


def project(subject: Subject | Pattern, shape: Shape) -> Pattern:
    """The one pattern of ``shape`` that matches ``subject``, or that covers a pattern if any of it does."""
    family, action, crew_id, execution_id = subject
    return Pattern(
        family if shape[0] else ANY,
        action if shape[1] else ANY,
        crew_id if shape[2] else ANY,
        execution_id if shape[3] else ANY,
    )


class PatternIndex(Generic[T]):
    """A multimap from patterns to values."""

    __slots__ = ("_cache", "_shapes")

    def __init__(self) -> None:
        self._shapes: dict[Shape, dict[Pattern, dict[T, None]]] = {}
        self._cache: dict[Subject, tuple[T, ...]] = {}

    def add(self, pattern: Pattern, value: T) -> None:
        """Put ``value`` under ``pattern``."""
        self._shapes.setdefault(shape_of(pattern), {}).setdefault(pattern, {})[value] = None
        self._cache.clear()

    def discard(self, pattern: Pattern, value: T) -> None:
        """Take ``value`` away from under ``pattern``, where it is."""
        shape = shape_of(pattern)
        patterns = self._shapes.get(shape, {})
        values = patterns.get(pattern, {})
        values.pop(value, None)
        if not values:
            patterns.pop(pattern, None)
        if not patterns:
            self._shapes.pop(shape, None)
        self._cache.clear()

    def match(self, subject: Subject) -> tuple[T, ...]:
        """Every value that is under a pattern matching ``subject``, each once."""
        found = self._cache.get(subject)
        if found is None:
            if len(self._cache) >= _CACHE_LIMIT:
                self._cache.clear()
            found = self._cache[subject] = self._look_up(subject)
        return found

    def _look_up(self, subject: Subject) -> tuple[T, ...]:
        values: dict[T, None] = {}
        for shape, patterns in self._shapes.items():
            values.update(patterns.get(project(subject, shape), {}))
        return tuple(values)
