"""The ledger: which runs are open, and what follows from that for an event.

An event belongs to the execution of the scope that it ends, or that is around it; where there is none, to
the one that CrewAI names; and what can be a run by itself, where CrewAI names none, is an execution of its
own. It begins with its first event, whatever that is, and ends with the last of its outermost runs.
"""

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bridge.crew.calls import Calls
from bridge.crew.context import Context
from bridge.crew.crew_names import CrewNames
from bridge.crew.executions import BEGINNINGS, KICKOFFS, UNSEEN, Execution, Executions, Run
from bridge.crew.identity import NOBODY, Ids, identifier, ids_of
from bridge.crew.runs import Runs, of_flow, what_paused
from bridge.crew.scopes import Scope, Scopes

_FLOWS_OWN: Final = ("flow_", "method_execution_", "conversation_")
_ANNOUNCEMENTS: Final = frozenset({"flow_created", "conversation_turn_started", "hook_dispatched"})
"""What comes before the kickoff that it is about."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """What CrewAI says of its events' types."""

    opening: frozenset[str]
    """Those that open a scope."""
    pairs: Mapping[str, str]
    """Of each that ends one: which opens it."""


class Ledger:
    """Observes every event, in any thread, in the order in which the threads emit."""

    def __init__(
        self,
        read_execution: Callable[[], str | None] | None,
        grammar: Grammar,
        crew_names: CrewNames | None = None,
    ) -> None:
        """``read_execution`` asks CrewAI for the name of the outermost run, if its version knows one."""
        self._lock = threading.RLock()
        self._read_execution = read_execution
        self._grammar = grammar
        self._crew_names = crew_names or CrewNames()
        self._scopes = Scopes(grammar.pairs)
        self._executions = Executions()
        self._runs = Runs(self._executions)
        self._calls = Calls()

    def forked(self) -> "Ledger":
        """For a child process: it lives within the parent's scopes, and the parent's runs are not its own."""
        ledger = Ledger(self._read_execution, self._grammar, self._crew_names)
        ledger._scopes, ledger._executions, ledger._runs = self._scopes, self._executions, self._runs
        ledger._executions.disown()
        return ledger

    def pass_over(self, source: Any, event: Any) -> None:
        """An event that is not published: what happens within it happens within what is around it."""
        with self._lock:
            self._scopes.ended_by(source, event)
            if event.type in self._grammar.opening:
                self._scopes.open_unpublished(source, event)

    def glance(self, source: Any, event: Any) -> Context:
        """The context of an event that neither opens nor ends anything."""
        with self._lock:
            around = self._scopes.around(event)
            return Context(self.execution_of(event), self._ids(source, event, around), _published(around))

    def execution_of(self, event: Any) -> str | None:
        """The execution of an event that opens and ends nothing."""
        around = self._scopes.around(event)
        if around is not None:
            return around.execution.name if around.execution else None
        name = self._name()
        execution = self._executions.known(name)
        return execution.name if execution else name

    def observe(self, source: Any, event: Any) -> Context:
        """The context of an event, which from now on counts."""
        with self._lock:
            ended = self._scopes.ended_by(source, event)
            around = self._scopes.around(event)
            place = ended or around or self._scopes.named(event.started_event_id)
            ids = self._ids(source, event, place)
            name = self._name()
            waits_for = self._announced(source, event, around, name)
            if waits_for is not None:
                return Context(None, ids, None, waits_for=waits_for)
            execution = self._place(source, event, place, name)
            if event.type in self._grammar.opening:
                self._scopes.open(source, event, execution, ids)
            name = execution.name if execution else None
            context = Context(name, ids, _published(around), _elapsed(ended, event))
            context = self._calls.follow(source, event, context)
            if execution is None:
                return context
            context = self._runs.follow(execution, source, event, context, around)
            self._assume(execution, event, around, ids)
            return context

    def resume(self, name: str) -> None:
        """Take it that an execution began elsewhere."""
        with self._lock:
            self._executions.named(name, is_kickoff=False).has_begun = True

    def open_runs(self) -> list[tuple[str, Run, bool]]:
        """The executions that have not ended, each with its outermost run, and whether that only idles."""
        with self._lock:
            return [
                (each.name, run, run.is_deferred and self._scopes.is_idle(each))
                for each in self._executions.open()
                if (run := each.outermost)
            ]

    def _assume(self, execution: Execution, event: Any, around: Scope | None, ids: Ids) -> None:
        """What was not seen to begin: a crew that an earlier process, or an earlier run, began."""
        is_new = around is not None and around.execution is not execution and UNSEEN in execution.runs
        if event.parent_event_id is not None and (around is None or is_new):
            self._scopes.assume(
                event.parent_event_id, execution, Ids(crew=ids.crew, crew_object=ids.crew_object)
            )

    def _ids(self, source: Any, event: Any, scope: Scope | None) -> Ids:
        return ids_of(source, event, self._crew_names.of).within(scope.ids if scope else NOBODY)

    def _name(self) -> str | None:
        return None if self._read_execution is None else identifier(self._read_execution())

    def _announced(self, source: Any, event: Any, around: Scope | None, name: str | None) -> Hashable:
        """What an event waits for that comes before the kickoff that it is about; None if it does not."""
        if event.type not in _ANNOUNCEMENTS:
            return None
        if event.type == "flow_created":
            self._executions.note_source(source, None)
        if around is not None:
            return None
        is_hook = event.type == "hook_dispatched"
        execution = self._executions.known(name) if is_hook else self._executions.of_source(source)
        if execution is not None and not execution.is_over:
            return None
        return name if is_hook else id(source)

    def _place(self, source: Any, event: Any, scope: Scope | None, name: str | None) -> Execution | None:
        """The execution that an event belongs to."""
        is_kickoff = event.type in KICKOFFS
        if scope is not None:
            within = scope.execution
            if within is None and not is_kickoff:
                return None
            if within is not None and (not within.is_over or self._is_late(event, within, name)):
                if name is not None and name != within.name:
                    self._executions.note_alias(name, within)
                return within
        elif name is None and event.type.startswith(_FLOWS_OWN) and not is_kickoff:
            return self._executions.of_source(source)
        waited = what_paused(source, event)
        if waited is not None and (resumed := self._executions.resumed(name, of_flow(waited))):
            return resumed
        if name is None and event.type in BEGINNINGS:
            is_seen = scope is not None or event.parent_event_id is None
            name = identifier(event.event_id if is_seen else event.parent_event_id)
        return None if name is None else self._executions.named(name, is_kickoff=is_kickoff)

    def _is_late(self, event: Any, over: Execution, name: str | None) -> bool:
        """Whether an event within a scope of what is over belongs to that, and not to something new."""
        if event.type in KICKOFFS or event.type == "task_started":
            return False
        return name is None or self._executions.known(name) is over


def _published(around: Scope | None) -> str | None:
    return around.published if around else None


def _elapsed(ended: Scope | None, event: Any) -> float | None:
    if ended is None or ended.since is None:
        return None
    elapsed: float = (event.timestamp - ended.since).total_seconds() * 1000
    return max(elapsed, 0.0)
