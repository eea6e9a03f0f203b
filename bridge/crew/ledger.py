"""The ledger: which runs are open, and what follows from that for an event.

A run is a kickoff of a crew, a flow, or an agent by itself. The runs of one execution nest; the outermost is
the execution.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from bridge.crew.identity import Ids, identifier, ids_of
from bridge.crew.scopes import OUTSIDE, Scope, Scopes

_STARTS: Final = {
    "crew_kickoff_started": "crew",
    "flow_started": "flow",
    "lite_agent_execution_started": "agent",
}
_ENDS: Final = {
    "crew_kickoff_completed": "crew",
    "crew_kickoff_failed": "crew",
    "flow_finished": "flow",
    "flow_failed": "flow",
    "flow_paused": "flow",
    "lite_agent_execution_completed": "agent",
    "lite_agent_execution_error": "agent",
}
_MAX_CREWS: Final = 10_000
_MAX_EXECUTIONS: Final = 10_000
"""Beyond this the oldest is forgotten: a run that is cancelled has no end."""


@dataclass(slots=True)
class Run:
    """One kickoff, while it is open."""

    event_id: str
    ids: Ids
    outermost: bool
    tasks: frozenset[str] = frozenset()
    done: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Execution:
    """The open runs of one execution, by kind and source, and the steps of its tasks."""

    runs: dict[tuple[str, int], Run] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)


class Context(NamedTuple):
    """What is known about an event besides what it says."""

    execution: str | None
    ids: Ids
    parent: str | None
    elapsed_ms: float | None = None
    """Since the event that this one ends; None if it ends nothing."""
    outermost: bool = False
    """Whether it begins or ends the execution itself."""
    first: bool = False
    """Whether it is the first kickoff of a crew that this process sees."""
    run: Run | None = None
    """The kickoff of its crew."""
    step: int = 0
    """Which turn of its task it is, for an answer of a model."""
    execution_ended: bool = False
    """Whether nothing of the execution is open after it."""


class Ledger:
    """Observes every event, in any thread, in the order in which the threads emit."""

    def __init__(self, read_execution: Callable[[], str | None] | None, opening: frozenset[str]) -> None:
        """``read_execution`` asks CrewAI for the outermost run; without it that is the root of the scopes."""
        self._lock = threading.RLock()
        self._read_execution = read_execution
        self._opening = opening
        self._scopes = Scopes()
        self._executions: dict[str, Execution] = {}
        self._crews: dict[str, None] = {}

    def forked(self) -> "Ledger":
        """For a child process: it lives within the parent's scopes, and the parent's runs are not its own."""
        ledger = Ledger(self._read_execution, self._opening)
        ledger._scopes, ledger._crews = self._scopes, self._crews
        return ledger

    def pass_over(self, event: Any) -> None:
        """An event that is not published: what happens within it happens within what is around it."""
        with self._lock:
            self._scopes.ended_by(event)
            if event.type in self._opening:
                self._scopes.open(event, self._scopes.around(event).ids, published=False)

    def glance(self, source: Any, event: Any) -> Context:
        """The context of an event that neither opens nor ends anything."""
        with self._lock:
            around = self._scopes.around(event)
            return Context(
                self._execution_of(event, around, None), _ids(source, event, around), around.published
            )

    def execution_of(self, event: Any) -> str | None:
        """The execution of an event that opens and ends nothing."""
        if self._read_execution is not None:
            return identifier(self._read_execution())
        with self._lock:
            return self._scopes.around(event).root

    def observe(self, source: Any, event: Any) -> Context:
        """The context of an event, which from now on counts."""
        with self._lock:
            ended = self._scopes.ended_by(event)
            around = self._scopes.around(event)
            ids = _ids(source, event, ended or around)
            if event.type in self._opening:
                self._scopes.open(event, ids, published=True)
            context = Context(
                self._execution_of(event, around, ended), ids, around.published, _elapsed(ended, event)
            )
            return self._with_run(source, event, context)

    def open_runs(self) -> list[tuple[str, Run]]:
        """The executions that have not ended, each with its outermost run."""
        with self._lock:
            return [(name, next(iter(e.runs.values()))) for name, e in self._executions.items() if e.runs]

    def _execution_of(self, event: Any, around: Scope, ended: Scope | None) -> str | None:
        if self._read_execution is not None:
            return identifier(self._read_execution())
        root = around.root or (ended.root if ended else None)
        return root or (identifier(event.event_id) if event.type in self._opening else None)

    def _with_run(self, source: Any, event: Any, context: Context) -> Context:
        if context.execution is None:
            return context
        execution = self._executions.setdefault(context.execution, Execution())
        if len(self._executions) > _MAX_EXECUTIONS:
            del self._executions[next(iter(self._executions))]
        if kind := _STARTS.get(event.type):
            return self._started(execution, (kind, id(source)), source, event, context)
        if kind := _ENDS.get(event.type):
            return self._ended(execution, (kind, id(source)), context)
        return self._within(execution, event, context)

    def _started(
        self, execution: Execution, key: tuple[str, int], source: Any, event: Any, context: Context
    ) -> Context:
        run = Run(event.event_id, context.ids, not execution.runs, _task_ids(source))
        execution.runs[key] = run
        crew = context.ids.crew if key[0] == "crew" else None
        first = crew is not None and crew not in self._crews
        if crew is not None and first:
            self._crews[crew] = None
            if len(self._crews) > _MAX_CREWS:
                del self._crews[next(iter(self._crews))]
        return context._replace(outermost=run.outermost, first=first, run=run)

    def _ended(self, execution: Execution, key: tuple[str, int], context: Context) -> Context:
        run = execution.runs.pop(key, None)
        outermost = run.outermost if run else not execution.runs
        if not execution.runs and context.execution is not None:
            del self._executions[context.execution]
        return context._replace(outermost=outermost, run=run, execution_ended=not execution.runs)

    def _within(self, execution: Execution, event: Any, context: Context) -> Context:
        outermost = next(iter(execution.runs.values()), None)
        if outermost is not None and outermost.ids.crew and not context.ids.crew:
            # Memory is written by a thread that is in the execution but in none of its scopes.
            context = context._replace(ids=context.ids.within(Ids(crew=outermost.ids.crew)))
        run = next(
            (run for run in execution.runs.values() if run.tasks and run.ids.crew == context.ids.crew), None
        )
        task, step = context.ids.task, 0
        if task is not None and event.type == "llm_call_completed":
            step = execution.steps[task] = execution.steps.get(task, 0) + 1
        if task is not None and run is not None and event.type == "task_completed" and task in run.tasks:
            run.done.add(task)
        over = not execution.runs
        if over and context.execution is not None:
            del self._executions[context.execution]
        return context._replace(run=run, step=step, execution_ended=over)


def _ids(source: Any, event: Any, scope: Scope) -> Ids:
    return ids_of(source, event).within(scope.ids)


def _elapsed(ended: Scope | None, event: Any) -> float | None:
    since: datetime | None = (ended or OUTSIDE).since
    return None if since is None else max((event.timestamp - since).total_seconds() * 1000, 0.0)


def _task_ids(source: Any) -> frozenset[str]:
    tasks = getattr(source, "tasks", None)
    ids = (identifier(getattr(task, "id", None)) for task in tasks) if isinstance(tasks, list) else ()
    return frozenset(name for name in ids if name)
