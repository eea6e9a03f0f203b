"""Executions: the outermost runs, by the names that their events carry.

A run is a kickoff of a crew, a flow, or an agent by itself, or a task by itself. The runs of one execution
nest; the outermost is the execution.
"""

import logging
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from bridge.crew.identity import Ids

log = logging.getLogger(__name__)

_Key = TypeVar("_Key")

KICKOFFS: Final = {
    "crew_kickoff_started": "crew",
    "crew_train_started": "training",
    "crew_test_started": "test",
    "flow_started": "flow",
    "lite_agent_execution_started": "agent",
    "a2a_server_task_started": "request",
}
"""What begins a run, wherever it happens."""
BEGINNINGS: Final = {**KICKOFFS, "task_started": "task", "agent_execution_started": "work"}
"""With what does so where nothing is around it."""
ENDS: Final = {
    "crew_kickoff_completed": "crew",
    "crew_kickoff_failed": "crew",
    "crew_train_completed": "training",
    "crew_train_failed": "training",
    "crew_test_completed": "test",
    "crew_test_failed": "test",
    "flow_finished": "flow",
    "flow_failed": "flow",
    "flow_paused": "flow",
    "lite_agent_execution_completed": "agent",
    "lite_agent_execution_error": "agent",
    "a2a_server_task_completed": "request",
    "a2a_server_task_canceled": "request",
    "a2a_server_task_failed": "request",
    "task_completed": "task",
    "task_failed": "task",
    "agent_execution_completed": "work",
    "agent_execution_error": "work",
}
KINDS_OF_KICKOFFS: Final = frozenset(KICKOFFS.values())
_MAX_EXECUTIONS: Final = 10_000
"""Beyond this the oldest is forgotten: a run that is cancelled has no end."""
UNSEEN: Final = ("", 0)
"""The key of a run that was not seen to begin: its first event stands for it."""

RunKey = tuple[str, int]
"""The kind of a run, and the ``id()`` of its source."""


@dataclass(slots=True)
class Run:
    """One kickoff, while it is open."""

    event_id: str
    ids: Ids
    is_root: bool
    """Whether no other run of its execution is around it."""
    is_deferred: bool = False
    """Whether it is a session that stays open between its turns, until somebody closes it."""
    tasks: frozenset[str] = frozenset()
    done: set[str] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Execution:
    """The open runs of one execution, and the steps of its tasks."""

    name: str
    has_begun: bool = False
    """Whether an event of it was seen."""
    is_over: bool = False
    is_foreign: bool = False
    """Whether it is another process's, which forked this one: begun there, and to be ended there."""
    last: RunKey | None = None
    """The run that ended it."""
    runs: dict[RunKey, Run] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)

    @property
    def outermost(self) -> Run | None:
        """The run that is open the longest."""
        return next(iter(self.runs.values()), None)

    @property
    def has_roots(self) -> bool:
        """Whether a run is open that has none around it."""
        return any(run.is_root for run in self.runs.values())

    def end(self, key: RunKey) -> None:
        """Let nothing more of it be expected; what comes all the same still belongs to it."""
        self.is_over, self.last = True, key
        self.runs.clear()
        self.steps.clear()


class Executions:
    """The executions that were seen, the last ones even after their end."""

    def __init__(self) -> None:
        self._by_name: dict[str, Execution] = {}
        self._aliases: dict[str, Execution] = {}
        """By names that CrewAI gave to runs within others."""
        self._of_sources: dict[int, Execution] = {}
        """By the ``id()`` of the flow that ran last in them."""
        self._is_warned = False

    def open(self) -> list[Execution]:
        """Those that have runs and are this process's own."""
        return [each for each in self._by_name.values() if each.runs and not each.is_foreign]

    def known(self, name: str | None) -> Execution | None:
        """The execution that CrewAI means by ``name``."""
        if name is None:
            return None
        return self._by_name.get(name) or self._aliases.get(name)

    def named(self, name: str, *, is_kickoff: bool) -> Execution:
        """The execution that ``name`` is for.

        A kickoff is not of one that is over: the name was chosen for an earlier one and has stuck.
        """
        execution = self._by_name.get(name) if is_kickoff else self.known(name)
        if execution is None:
            return self._add(Execution(name))
        if is_kickoff and execution.is_over:
            self._warn(name)
            del self._by_name[name]
            return self._add(Execution(name))
        return execution

    def resumed(self, name: str | None, flow: str) -> Execution | None:
        """The execution of a flow that goes on: the one that CrewAI names, or that ``flow`` paused."""
        execution = self.known(flow) if name is None else self.named(name, is_kickoff=False)
        if execution is not None:
            execution.has_begun, execution.is_over = True, False
        return execution

    def of_source(self, source: Any) -> Execution | None:
        """The execution in which a flow ran last."""
        return self._of_sources.get(id(source))

    def note_source(self, source: Any, execution: Execution | None) -> None:
        """Remember in which execution a flow runs; None for one that was just made."""
        if execution is None:
            self._of_sources.pop(id(source), None)
        else:
            _put(self._of_sources, id(source), execution)

    def note_alias(self, name: str, execution: Execution) -> None:
        """Remember what CrewAI calls a run within an execution that has another name."""
        if self._aliases.get(name) is not execution:
            _put(self._aliases, name, execution)

    def disown(self) -> None:
        """In a forked child: what runs is the parent's."""
        for execution in self._by_name.values():
            execution.is_foreign = not execution.is_over
            execution.runs.clear()

    def _add(self, execution: Execution) -> Execution:
        _put(self._by_name, execution.name, execution)
        return execution

    def _warn(self, name: str) -> None:
        """Once: it happens at each kickoff or at none."""
        if not self._is_warned:
            self._is_warned = True
            log.warning(
                "execution %s has ended and begins again: crewai.execution.set_execution_uuid() holds for "
                "all later kickoffs of its context; set another before each",
                name,
            )


def _put(known: dict[_Key, Execution], key: _Key, execution: Execution) -> None:
    known[key] = execution
    if len(known) > _MAX_EXECUTIONS:
        del known[next(iter(known))]
