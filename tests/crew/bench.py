"""A recorder at a bench of its own, with small events of the tests' own in the place of CrewAI's."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any

from bridge.crew.draft import Policy
from bridge.crew.journal import Journal
from bridge.crew.ledger import Grammar, Ledger
from bridge.crew.outbox import Outbox
from bridge.crew.recorder import Recorder
from contracts import WebSocketEvent

PAIRS = {
    "crew_kickoff_completed": "crew_kickoff_started",
    "crew_kickoff_failed": "crew_kickoff_started",
    "flow_finished": "flow_started",
    "flow_failed": "flow_started",
    "flow_paused": "flow_started",
    "lite_agent_execution_completed": "lite_agent_execution_started",
    "lite_agent_execution_error": "lite_agent_execution_started",
    "method_execution_finished": "method_execution_started",
    "method_execution_paused": "method_execution_started",
    "agent_execution_completed": "agent_execution_started",
    "task_completed": "task_started",
    "task_failed": "task_started",
    "llm_call_completed": "llm_call_started",
    "tool_usage_finished": "tool_usage_started",
    "tool_usage_error": "tool_usage_started",
    "memory_save_completed": "memory_save_started",
}
"""A part of what CrewAI says."""
GRAMMAR = Grammar(frozenset(PAIRS.values()), PAIRS)
START = datetime(2026, 1, 1, tzinfo=UTC)
numbers = count()


class Event(SimpleNamespace):
    """As CrewAI's base class: what is not given is None."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return None


def event(kind: str, within: Any = None, ends: Any = None, **fields: Any) -> Any:
    number = next(numbers)
    return Event(
        type=kind,
        event_id=f"{kind}-{number}",
        parent_event_id=within and within.event_id,
        started_event_id=ends and ends.event_id,
        emission_sequence=number,
        timestamp=START + timedelta(milliseconds=number),
        **fields,
    )


class Crew:
    id = "crew-1"
    name = "Crew"
    key = "k"
    process = "sequential"
    tasks: Any = ()
    agents: tuple[Any, ...] = ()
    manager_agent: Any = None


@dataclass
class Bench:
    """A recorder whose outbox can be read; by default in the middle of an execution that began elsewhere."""

    policy: Policy = field(default_factory=Policy)
    execution: str | None = "e1"
    knows_executions: bool = True
    has_begun: bool = True

    def __post_init__(self) -> None:
        self.outbox = Outbox()
        self.journal = Journal(self.outbox, self.policy)
        self.ended = 0
        read = (lambda: self.execution) if self.knows_executions else None
        ledger = Ledger(read, GRAMMAR)
        if self.has_begun and self.execution is not None:
            ledger.resume(self.execution)
        self.recorder = Recorder(ledger, self.journal, self.policy, self._end)

    def _end(self) -> None:
        self.ended += 1

    def record(self, *events: Any, source: Any = None) -> None:
        for each in events:
            self.recorder.record(source, each)
        assert self.recorder.failures == 0

    def taken(self) -> list[dict[str, Any]]:
        messages, _ = self.outbox.take(10_000)
        for message in messages:
            WebSocketEvent.from_json(message.payload)
        return [json.loads(message.payload) for message in messages]

    def types(self) -> list[str]:
        return [each["event_type"] for each in self.taken()]
