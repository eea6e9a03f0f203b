"""Scopes: what is open around an event, so that it inherits what it does not say itself.

CrewAI nests its events: a model is called within an agent's work, that within a task, that within a crew.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from bridge.crew.executions import BEGINNINGS, UNSEEN, Execution
from bridge.crew.identity import Ids

_MAX_OPEN: Final = 20_000
"""Beyond this the oldest is forgotten: an event that opens a scope may have no end."""
_MAX_ENDED: Final = 2_000
"""How many are known after their end, for what comes late: from threads, mostly."""
_UNSEEN: Final = ""
"""The kind of a scope that is known only by what happens within it."""


class Scope(NamedTuple):
    """Something that began, and may have ended."""

    kind: str
    """CrewAI's type of the event that opened it."""
    source: int
    """The ``id()`` of its source."""
    within: str | None
    """The ``event_id`` of the scope around it."""
    execution: Execution | None
    published: str | None
    """The ``event_id`` of the innermost event around it, itself included, that was published."""
    ids: Ids
    since: datetime | None


class Scopes:
    """The scopes that are open, and the last that ended, by the id of the CrewAI event that opened them."""

    def __init__(self, pairs: Mapping[str, str]) -> None:
        """``pairs`` says of each type that ends something which type begins it."""
        self._pairs = pairs
        self._open: dict[str, Scope] = {}
        self._ended: dict[str, Scope] = {}

    def around(self, event: Any) -> Scope | None:
        """What an event happened within; None if that is nothing, or nothing that is known."""
        return self.named(event.parent_event_id)

    def named(self, name: str | None) -> Scope | None:
        """The scope that an event opened."""
        return None if name is None else self._open.get(name) or self._ended.get(name)

    def ended_by(self, source: Any, event: Any) -> Scope | None:
        """What an event ends, which then is no longer open; None if it ends nothing that is known.

        CrewAI pairs an end with whatever its stack has on top. Where that is of another kind, it is the
        nearest around it that fits, or the only one anywhere.
        """
        kind = self._pairs.get(event.type)
        if kind is None:
            return None
        name = self._fitting(event.started_event_id, kind, id(source))
        if name is None:
            named = self.named(event.started_event_id)
            return named if named is not None and named.kind == kind else None
        scope = self._ended[name] = self._open.pop(name)
        if len(self._ended) > _MAX_ENDED:
            del self._ended[next(iter(self._ended))]
        return scope

    def open(self, source: Any, event: Any, execution: Execution | None, ids: Ids) -> None:
        """Let events happen within this one."""
        name, within = event.event_id, event.parent_event_id
        self._put(name, Scope(event.type, id(source), within, execution, name, ids, event.timestamp))

    def open_unpublished(self, source: Any, event: Any) -> None:
        """Let what happens within this event happen within what is around it, if anything is."""
        around = self.around(event)
        if around is not None:
            within = event.parent_event_id
            self._put(event.event_id, around._replace(kind=event.type, source=id(source), within=within))

    def assume(self, name: str, execution: Execution, ids: Ids) -> None:
        """Open a scope that was not seen to begin: that of an earlier process, for one."""
        self._put(name, Scope(_UNSEEN, 0, None, execution, None, ids, None))

    def is_idle(self, execution: Execution) -> bool:
        """Whether nothing is open in an execution but its runs themselves."""
        runs = {run.event_id for key, run in execution.runs.items() if key != UNSEEN}
        return all(
            name in runs or scope.execution is not execution or scope.kind == _UNSEEN
            for name, scope in self._open.items()
        )

    def _put(self, name: str, scope: Scope) -> None:
        self._open[name] = scope
        if len(self._open) > _MAX_OPEN:
            del self._open[next(iter(self._open))]

    def _fitting(self, named: str | None, kind: str, source: int) -> str | None:
        """The open scope of ``kind`` and ``source`` that is meant, or one of ``kind`` at least."""
        name, scope = named, self._open.get(named or "")
        while name is not None and scope is not None:
            if scope.kind == kind and scope.source == source:
                return name
            if scope.kind == _UNSEEN:
                return name
            name = scope.within
            scope = self._open.get(name or "")
        if named is not None and named in self._open and self._open[named].kind == kind:
            return named
        ended = self._ended.get(named or "")
        return None if ended is not None and ended.kind == kind else self._only(kind, source)

    def _only(self, kind: str, source: int) -> str | None:
        """A run is known by its source as well; a model may have several calls open."""
        if kind not in BEGINNINGS:
            return None
        found = [name for name, scope in self._open.items() if scope.kind == kind and scope.source == source]
        return found[0] if len(found) == 1 else None
