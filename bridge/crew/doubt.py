"""Doubt: which of the messages that wait may be in the stream already, and from where on to look for them.

A stream drops what comes twice only for as long as its duplicate window says, and one with sources may have
no such window. So whoever sent something and heard no acknowledgement looks. No clock is asked: what was sent
lies behind the last message that the stream has acknowledged to its sender.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self


class Position(NamedTuple):
    """A message of a stream."""

    created: str
    """Which stream: when it was made."""
    seq: int


UNKNOWN: Final = Position("", 0)
"""Of no stream: all of whatever stream it is lies behind it."""


Name = tuple[str, str]
"""A message's id and subject."""


@dataclass(slots=True)
class Search:
    """How far the stream has been searched for some messages; one that is broken off goes on there."""

    base: Position
    """Of the link that it is made over: another may find another stream."""
    began: int
    ids: frozenset[str]
    subjects: frozenset[str]
    reached: int
    """Up to this sequence nothing is left to be seen."""
    covered: int = 0
    """Up to this one it is known that nothing else was to be seen."""
    stored: dict[str, int] = field(default_factory=dict)
    """Those of ``ids`` that were found, and where."""

    def see(self, event_id: str, seq: int) -> None:
        """Take note of what is stored at ``seq``."""
        if event_id in self.ids:
            self.stored[event_id] = seq

    @property
    def is_over(self) -> bool:
        """Whether all were found."""
        return len(self.stored) == len(self.ids)

    def serves(self, ids: Iterable[str], since: int, base: Position) -> bool:
        """Whether it is, or comes to be, the answer for these, over the link that began at ``base``."""
        return self.base is base and self.began <= since and self.ids.issuperset(ids)


@dataclass(slots=True)
class Doubt:
    """What is known of a queue of messages that are sent in their order."""

    since: Position | None = None
    """What of the queue is in the stream, and not known to be, lies behind this. None: nothing was sent."""
    messages: int = 0
    """So many of the first may have been sent before, over another link."""
    failing_since: float | None = None
    """By the monotonic clock: when the stream could first not be searched, and never since."""
    ahead: Callable[[], Sequence[Name]] = tuple
    """The first messages, and what follows them: looked for at once, or a stream is read again for each."""
    search: Search | None = None
    """The last one for the first messages."""

    @classmethod
    def inherited(cls, since: Position) -> Self:
        """The doubt about a queue that another process left."""
        return cls(since, sys.maxsize)

    @property
    def is_about_all(self) -> bool:
        """Whether nobody knows how many were sent."""
        return self.messages == sys.maxsize

    def meet(self, base: Position, now: Position) -> None:
        """A link begins at ``base`` and has come to ``now``: both are of the stream that is there.

        If it is another one, or has lost its end, what was sent may be anywhere in it.
        """
        if self.since is None or not self.messages:
            self.since, self.messages = now, 0
        elif self.since.created != base.created or self.since.seq > base.seq:
            self.since = Position(base.created, 0)

    def sent(self, count: int) -> None:
        """The first ``count`` were sent, and what became of them is not known."""
        self.messages = max(self.messages, count)

    def settled(self, ids: Sequence[str], now: Position, stored: Mapping[str, int]) -> None:
        """The first messages, with these ids, are dealt with; some were found ``stored``."""
        if not self.is_about_all:
            self.messages = max(self.messages - len(ids), 0)
        if not self.messages:
            self.since, self.search = now, None
        elif self.since is not None:
            self.since = self.since._replace(seq=max(self.since.seq, *(stored.get(each, 0) for each in ids)))
