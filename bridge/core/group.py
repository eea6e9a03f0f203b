"""The live connections with an equal view: their news is joined once and written to all."""

from collections.abc import Hashable
from typing import Generic, TypeVar

from bridge.core.entry import Entry
from bridge.core.view import View

M = TypeVar("M", bound=Hashable)


class Group(Generic[M]):
    """Members, and what they have not been given yet.

    ``pending`` came since the last flush began, ``in_flight`` is being written by a flush that pauses.
    A member that joined meanwhile has read part of both in the log: its position says how much.
    """

    __slots__ = ("_members", "_snapshot", "in_flight", "pending", "view")

    def __init__(self, view: View) -> None:
        self.view = view
        self.pending: list[Entry] = []
        self.in_flight: list[Entry] = []
        self._members: dict[M, None] = {}
        self._snapshot: tuple[M, ...] | None = None

    def __len__(self) -> int:
        return len(self._members)

    @property
    def members(self) -> tuple[M, ...]:
        """A snapshot, made again only when membership changed."""
        if self._snapshot is None:
            self._snapshot = tuple(self._members)
        return self._snapshot

    def join(self, member: M) -> None:
        """Add a member that has been given everything up to the head."""
        self._members[member] = None
        self._snapshot = None

    def leave(self, member: M) -> None:
        """Remove a member; `held` says what it is still to be given."""
        del self._members[member]
        self._snapshot = None

    def held(self, position: int) -> list[Entry]:
        """What a member that was given everything up to ``position`` is still to be given."""
        return [entry for entry in (*self.in_flight, *self.pending) if entry.seq > position]

    def take(self) -> list[Entry]:
        """Begin a flush: what was pending is in flight."""
        self.in_flight, self.pending = self.pending, []
        return self.in_flight

    def landed(self) -> None:
        """The flush is over."""
        self.in_flight = []
