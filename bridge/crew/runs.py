"""Runs: what opens and ends in an execution, and what follows from that for an event."""

from typing import Any, Final

from bridge.crew.context import Context
from bridge.crew.executions import (
    BEGINNINGS,
    ENDS,
    KICKOFFS,
    KINDS_OF_KICKOFFS,
    UNSEEN,
    Execution,
    Executions,
    Run,
)
from bridge.crew.identity import Ids, attribute, identifier
from bridge.crew.scopes import Scope

_MAX_CREWS: Final = 10_000
_FAILING: Final = ("_failed", "_error")
_TURNS_END: Final = frozenset({"conversation_turn_completed", "conversation_turn_failed"})


class Runs:
    """Follows the runs of all executions."""

    def __init__(self, executions: Executions) -> None:
        self._executions = executions
        self._crews: dict[str, None] = {}

    def follow(
        self, execution: Execution, source: Any, event: Any, context: Context, around: Scope | None
    ) -> Context:
        """The context of an event of an execution, which from now on counts."""
        begins = not (execution.has_begun or execution.is_foreign)
        resumes = not begins and what_paused(source, event) is not None
        execution.has_begun = True
        if begins or resumes:
            context = context._replace(begins=begins, resumes=resumes)
        if event.type in KICKOFFS:
            is_root = around is None or around.execution is not execution
            return self._started(execution, source, event, context, is_root=is_root)
        if begins:
            alone = BEGINNINGS.get(event.type) if event.parent_event_id is None else None
            key = (alone, id(source)) if alone else UNSEEN
            execution.runs[key] = Run(event.event_id, context.ids, is_root=True, is_deferred=not alone)
        if kind := ENDS.get(event.type):
            return self._ended(execution, kind, source, event, context)
        return self._amid(execution, event, context)

    def _started(
        self, execution: Execution, source: Any, event: Any, context: Context, *, is_root: bool
    ) -> Context:
        kind = KICKOFFS[event.type]
        if is_root:
            execution.runs.pop(UNSEEN, None)
        run = Run(event.event_id, context.ids, is_root, _is_deferred(source), _task_ids(source))
        execution.runs[kind, id(source)] = run
        if kind == "flow":
            self._executions.note_source(source, execution)
        return context._replace(run=run, first=kind == "crew" and self._is_first(context.ids.crew_object))

    def _is_first(self, crew: str | None) -> bool:
        if crew is None or crew in self._crews:
            return False
        self._crews[crew] = None
        if len(self._crews) > _MAX_CREWS:
            del self._crews[next(iter(self._crews))]
        return True

    def _ended(self, execution: Execution, kind: str, source: Any, event: Any, context: Context) -> Context:
        key = (kind, id(source))
        if execution.is_over:
            # A callback of the author's that raises fails a crew that CrewAI has called completed.
            ends = key == execution.last and event.type.endswith(_FAILING)
            return context._replace(ends=ends, settles=ends)
        run = execution.runs.pop(key, None)
        if run is None and kind in KINDS_OF_KICKOFFS:
            run = execution.runs.pop(UNSEEN, None)
        is_stray = run is None and (execution.runs or kind not in KINDS_OF_KICKOFFS)
        if is_stray:
            return self._amid(execution, event, context)
        is_last = (run is None or run.is_root) and not execution.has_roots
        if event.type == "flow_paused":
            self._executions.note_alias(of_flow(event), execution)
        ends = is_last and not (event.type == "flow_paused" or execution.is_foreign)
        if ends:
            execution.end(key)
        is_left = execution.is_foreign and not execution.runs
        return context._replace(ends=ends, settles=is_last or is_left, run=run)

    def _amid(self, execution: Execution, event: Any, context: Context) -> Context:
        outermost = execution.outermost
        if outermost is not None and outermost.ids.crew and not context.ids.crew:
            # Memory is written by a thread that is in the execution but in none of its scopes.
            crew = Ids(crew=outermost.ids.crew, crew_object=outermost.ids.crew_object)
            context = context._replace(ids=context.ids.within(crew))
        crew_object = context.ids.crew_object
        runs = (run for run in execution.runs.values() if run.tasks)
        run = next((run for run in runs if run.ids.crew_object == crew_object), None)
        task, step = context.ids.task, 0
        if task is not None and event.type == "llm_call_completed":
            step = execution.steps[task] = execution.steps.get(task, 0) + 1
        if task is not None and run is not None and event.type == "task_completed" and task in run.tasks:
            run.done.add(task)
        return context._replace(run=run, step=step, settles=event.type in _TURNS_END)


def _task_ids(source: Any) -> frozenset[str]:
    tasks = getattr(source, "tasks", None)
    ids = (identifier(getattr(task, "id", None)) for task in tasks) if isinstance(tasks, list) else ()
    return frozenset(name for name in ids if name)


def _is_deferred(flow: Any) -> bool:
    """Whether a flow stays open between its kickoffs, until its session is closed."""
    defers = attribute(flow, "_should_defer_trace_finalization")
    return defers() is True if callable(defers) else False


def what_paused(flow: Any, event: Any) -> Any:
    """What a flow that starts has waited for, if it goes on after a pause."""
    return attribute(flow, "_pending_feedback_context") if event.type == "flow_started" else None


def of_flow(paused: Any) -> str:
    """A name for an execution that waits; older versions of CrewAI have none for it."""
    return f"flow {attribute(paused, 'flow_id')}"
