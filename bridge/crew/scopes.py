"""Scopes: what is open around an event, so that it inherits what it does not say itself.

CrewAI nests its events: a model is called within an agent's work, that within a task, that within a crew.
"""

from datetime import datetime
from typing import Any, Final, NamedTuple

from bridge.crew.identity import NOBODY, Ids, identifier

_MAX_OPEN: Final = 20_000
"""Beyond this the oldest is forgotten: an event that opens a scope may have no end."""


class Scope(NamedTuple):
    """Something that began and has not ended."""

    root: str | None = None
    """The id of the outermost event around it, or its own."""
    published: str | None = None
    """The ``event_id`` of the innermost event around it, itself included, that was published."""
    ids: Ids = NOBODY
    since: datetime | None = None


OUTSIDE: Final = Scope()


class Scopes:
    """The scopes that are open, by the id of the CrewAI event that opened them."""

    def __init__(self) -> None:
        self._open: dict[str, Scope] = {}

    def around(self, event: Any) -> Scope:
        """What an event happened within."""
        return self._open.get(event.parent_event_id, OUTSIDE)

    def ended_by(self, event: Any) -> Scope | None:
        """What an event ends, which then is no longer open; None if it ends nothing."""
        return self._open.pop(event.started_event_id, None)

    def open(self, event: Any, ids: Ids, *, published: bool) -> None:
        """Let events happen within this one; one that is not published stands for what is around it."""
        around = self.around(event)
        scope = Scope(around.root or identifier(event.event_id), event.event_id, ids, event.timestamp)
        self._open[event.event_id] = scope if published else scope._replace(published=around.published)
        if len(self._open) > _MAX_OPEN:
            del self._open[next(iter(self._open))]
