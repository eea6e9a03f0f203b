"""What a connection wants to see: equal views hear the same, and form one group."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from bridge.core.entry import Entry
from bridge.core.index import Shape, project, shape_of
from contracts.filters import EventFilter
from contracts.subjects import ANY, Pattern, Subject

_CREW, _EXECUTION = 2, 3


@dataclass(frozen=True)
class View:
    """Subscribed patterns, narrowed by a filter, and how events are to be delivered.

    Canonical: a pattern that another covers is left out, so views that mean the same are equal.
    """

    patterns: frozenset[Pattern]
    filter: EventFilter = EventFilter()
    batch: bool = False
    """One JSON array per flush instead of one message per event."""
    deflate: bool = False
    """Compressed messages, of those that are worth it."""
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "patterns", _without_covered(self.patterns))
        object.__setattr__(self, "_hash", hash((self.patterns, self.filter, self.batch, self.deflate)))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _shapes(self) -> tuple[Shape, ...]:
        return tuple({shape_of(pattern) for pattern in self.patterns})

    @cached_property
    def is_unfiltered(self) -> bool:
        """Whether everything that the patterns select is wanted."""
        return self.filter == EventFilter()

    @cached_property
    def executions(self) -> frozenset[str] | None:
        """The only executions that the view can see, None if any."""
        return _exact(self.patterns, _EXECUTION)

    @cached_property
    def crews(self) -> frozenset[str] | None:
        """The only crews that the view can see, None if any."""
        return _exact(self.patterns, _CREW)

    def wants(self, entry: Entry) -> bool:
        """Whether an event that is addressed to nobody belongs in this view."""
        return self.selects(entry.audience) and (self.is_unfiltered or self.filter.matches(entry))

    def selects(self, audience: Subject | Pattern) -> bool:
        """Whether one of its patterns matches a subject, or covers a pattern."""
        return any(project(audience, shape) in self.patterns for shape in self._shapes)


def _without_covered(patterns: Iterable[Pattern]) -> frozenset[Pattern]:
    everything = frozenset(patterns)
    shapes = {shape_of(pattern) for pattern in everything}
    return frozenset(p for p in everything if everything.isdisjoint({project(p, s) for s in shapes} - {p}))


def _exact(patterns: frozenset[Pattern], slot: int) -> frozenset[str] | None:
    tokens = frozenset(pattern[slot] for pattern in patterns)
    return None if ANY in tokens else tokens
