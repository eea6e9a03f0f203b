"""What follows from CrewAI's events without being one: executions, progress, topology, the manager's work."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from bridge.crew.content import Content, Data
from bridge.crew.context import Context
from bridge.crew.identity import Ids, identifier
from bridge.crew.mapping.fields import (
    FAILURE,
    answer,
    elapsed,
    label,
    mapping,
    names,
    outcome,
    parsed_arguments,
    values,
)
from bridge.crew.mapping.page import Page
from bridge.crew.mapping.row import Row

_DELEGATE: Final = "delegate_work_to_coworker"
_ASK: Final = "ask_question_to_coworker"
_MODEL_TURN: Final = "the model answered"

_STARTED: Final = Row(
    "execution.started", name=label("flow_name"), role=label("agent_info.role"), inputs=mapping("inputs")
)
_STARTED_BY: Final = {
    "task_started": Row("execution.started", name=label("task.name")),
    "crew_train_started": Row("execution.started", name=label("crew_name"), inputs=mapping("inputs")),
    "crew_test_started": Row("execution.started", name=label("crew_name"), inputs=mapping("inputs")),
}
_COMPLETED: Final = Row("execution.completed", result=outcome("result", "output"), duration_ms=elapsed)
_FAILED: Final = Row("execution.failed", **FAILURE)
_REQUESTED: Final = Row(
    "human.input_requested",
    prompt=answer("message"),
    choices=names("emit"),
    method=label("method_name"),
    name=label("flow_name"),
    flow=label("flow_id"),
)
"""CrewAI says that it asks only where it asks on the console."""
_DELEGATION: Final = Row(
    "manager.delegation_started", to_agent=label("coworker"), task=answer("task"), context=answer("context")
)
_QUESTION: Final = Row("manager.coordination_update", to_agent=label("coworker"), message=answer("question"))
_REPLY: Final = Row("manager.coordination_update", to_agent=label("coworker"), message=answer("output"))
_DECISION: Final = Row("manager.decision_made", decision=label("tool", "answer"), reason=answer("thought"))
_CREW: Final = Row("crew.created", name=label("name"), key=label("key"), process=label("process"),
                   agents=values("agents"), tasks=values("tasks"))  # fmt: skip
_AGENT: Final = Row("agent.created", role=label("role"), key=label("key"), goal=answer("goal"),
                    model=label("llm.model"), tools=names("tools"))  # fmt: skip

_OWN: Final = frozenset({"crew_kickoff_started", "crew_kickoff_completed", "crew_kickoff_failed"})
"""What becomes the beginning or the end of an execution itself."""


@dataclass(frozen=True, slots=True)
class Derived:
    """An event that follows from another."""

    event_type: str
    data: Data
    ids: Ids
    suffix: str = ""
    """Sets apart several of one type that follow from the same event."""


class Deriver:
    """Reads the same objects as the mapping, and lets as much of them out."""

    def __init__(self, content: Content) -> None:
        self._content = content

    def before(self, source: Any, event: Any, context: Context) -> Iterator[Derived]:
        """What has to be known before the event itself: that the execution began, what a person is asked."""
        if context.begins and event.type != "crew_kickoff_started":
            yield self._derived(_STARTED_BY.get(event.type, _STARTED), source, event, context)
        if event.type == "flow_paused":
            yield self._derived(_REQUESTED, source, event, context)

    def after(self, source: Any, event: Any, context: Context) -> Iterator[Derived]:
        """What follows the event, in its order."""
        match event.type:
            case "crew_kickoff_started" if context.first:
                yield from self._topology(source, context)
            case "tool_usage_started" | "tool_usage_finished" if not context.is_attempt:
                yield from self._coordination(source, event, context)
            case "agent_logs_execution" if _manages(source):
                yield self._derived(_DECISION, source, _decision(event), context)
            case "task_completed" if context.run is not None and context.ids.task in context.run.tasks:
                yield _progress(context, len(context.run.done), len(context.run.tasks))
            case "llm_call_completed" if context.step:
                yield Derived("task.progress", {"step": context.step, "message": _MODEL_TURN}, context.ids)
        if context.ends and event.type not in _OWN:
            has_failed = event.type.endswith(("_failed", "_error", "_canceled"))
            yield self._derived(_FAILED if has_failed else _COMPLETED, source, event, context)

    def _derived(
        self, row: Row, source: Any, event: Any, context: Context, ids: Ids | None = None, suffix: str = ""
    ) -> Derived:
        data = row.write(Page(source, event, context, self._content))
        return Derived(row.event_type(event, context), data, ids or context.ids, suffix)

    def _topology(self, crew: Any, context: Context) -> Iterator[Derived]:
        yield self._derived(_CREW, crew, _outline(crew, self._content), context)
        for index, agent in enumerate(_members(crew)):
            ids = context.ids._replace(task=None, agent=identifier(getattr(agent, "id", None)))
            yield self._derived(_AGENT, crew, agent, context, ids, f":{index}")

    def _coordination(self, source: Any, event: Any, context: Context) -> Iterator[Derived]:
        tool = "_".join(str(event.tool_name).lower().split())
        if tool not in {_DELEGATE, _ASK}:
            return
        arguments = parsed_arguments(event.tool_args)
        if event.type == "tool_usage_finished":
            arguments, row = {**arguments, "output": event.output}, _REPLY
        else:
            row = _DELEGATION if tool == _DELEGATE else _QUESTION
        yield self._derived(row, source, arguments, context)


def _progress(context: Context, done: int, total: int) -> Derived:
    data = {"progress": done / total, "completed_tasks": done, "total_tasks": total}
    return Derived("execution.progress", data, context.ids._replace(task=None, agent=None))


def _manages(agent: Any) -> bool:
    crew = getattr(agent, "crew", None)
    return crew is not None and getattr(crew, "manager_agent", None) is agent


def _decision(event: Any) -> dict[str, Any]:
    answer_ = event.formatted_answer
    return {"tool": getattr(answer_, "tool", None), "thought": getattr(answer_, "thought", None)}


def _members(crew: Any) -> list[Any]:
    """A crew's agents, with those that only its tasks name, and its manager."""
    agents = [*crew.agents, *(task.agent for task in crew.tasks), getattr(crew, "manager_agent", None)]
    return list({id(agent): agent for agent in agents if agent is not None}.values())


def _outline(crew: Any, content: Content) -> dict[str, Any]:
    agents = [{"id": str(agent.id), "role": agent.role} for agent in _members(crew)]
    tasks = [
        {"id": str(task.id), "name": task.name, "agent": task.agent.role if task.agent else None}
        | ({} if content == "none" else {"description": task.description})
        for task in crew.tasks
    ]
    return {"name": crew.name, "key": crew.key, "process": crew.process, "agents": agents, "tasks": tasks}
