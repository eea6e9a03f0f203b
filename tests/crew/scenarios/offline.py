"""CrewAI without a network: a model that says what it was told to say, and a recorder of what the bus emits.

Runs in CrewAI's own environment. The recorder hooks in where CrewAI prepares an event, and not where the
tap does.
"""

# CrewAI is not there when types are checked: its classes and decorators are of any type.
# mypy: disable-error-code="misc, untyped-decorator"

import contextvars
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crewai import Agent, Crew, Task
from crewai.events.event_bus import CrewAIEventsBus, crewai_event_bus
from crewai.events.types.llm_events import LLMCallType
from crewai.llms.base_llm import BaseLLM, llm_call_context
from crewai.tools import tool

from bridge.crew import install
from bridge.crew.identity import is_internal

SENTINEL = "sk-SENTINEL-3f9a1c7e"
DONE = "Thought: I know it\nFinal Answer: it is done"

try:
    from crewai.execution import get_execution_uuid
except ImportError:  # Before 1.15.16 CrewAI did not know the outermost run.

    def get_execution_uuid() -> None:
        return None


class ScriptedModel(BaseLLM):
    """Says its answers one after the other, then `DONE` for ever; in chunks if asked to stream."""

    answers: list[str]
    failure: str | None = None

    def call(self, messages: Any, tools: Any = None, *args: Any, **kwargs: Any) -> Any:
        with llm_call_context():
            return self._answer(messages, kwargs.get("from_task"), kwargs.get("from_agent"))

    async def acall(self, messages: Any, tools: Any = None, *args: Any, **kwargs: Any) -> Any:
        return self.call(messages, tools, *args, **kwargs)

    def _answer(self, messages: Any, task: Any, agent: Any) -> str:
        who = {"from_task": task, "from_agent": agent}
        self._emit_call_started_event(messages, **who)
        if self.failure:
            self._emit_call_failed_event(self.failure, **who)
            raise RuntimeError(self.failure)
        answer = self.answers.pop(0) if self.answers else DONE
        if self.stream:
            for chunk in (answer[i : i + 3] for i in range(0, len(answer), 3)):
                self._emit_stream_chunk_event(chunk, **who)
        self._emit_call_completed_event(answer, LLMCallType.LLM_CALL, messages=messages, **who)
        return answer

    def supports_function_calling(self) -> bool:
        return False


def model(*answers: str, **options: Any) -> ScriptedModel:
    return ScriptedModel(model="fake/model", api_key=SENTINEL, answers=list(answers), **options)


def agent(llm: ScriptedModel | None = None, role: str = "Researcher", **options: Any) -> Agent:
    return Agent(role=role, goal="find out", backstory="curious", llm=llm or model(), **options)


def task(description: str, by: Agent | None = None, **options: Any) -> Task:
    return Task(description=description, expected_output="an answer", agent=by, **options)


def simple_crew(tasks: int = 1, llm: ScriptedModel | None = None, **options: Any) -> Crew:
    worker = agent(llm)
    return Crew(agents=[worker], tasks=[task(f"task {n}", worker) for n in range(tasks)], **options)


def use(tool_name: str, **arguments: object) -> str:
    return f"Thought: I need it\nAction: {tool_name}\nAction Input: {json.dumps(arguments)}"


@tool("Look up")
def look_up(topic: str) -> str:
    """Look something up."""
    return f"all about {topic}"


@tool("Break down")
def break_down(topic: str) -> str:
    """Fail."""
    raise ValueError(f"cannot {topic}")


class GroundTruth:
    """What the bus prepared, in order, with the mode in which it did."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.mode = ""
        self._prepare = CrewAIEventsBus._prepare_event
        truth = self

        def prepare(bus: Any, source: Any, event: Any) -> None:
            truth._prepare(bus, source, event)
            truth._note(source, event)

        CrewAIEventsBus._prepare_event = prepare

    def _note(self, source: Any, event: Any) -> None:
        self.events.append(
            {
                "mode": self.mode,
                "type": event.type,
                "event_id": event.event_id,
                "emission_sequence": event.emission_sequence,
                "internal": is_internal(source),
                "parent": event.parent_event_id,
                "started": event.started_event_id,
                "execution": get_execution_uuid(),
                "source": f"{type(source).__name__}-{id(source)}",
                "call": getattr(event, "call_id", None),
                "chunk": getattr(event, "chunk", None),
                "thread": threading.get_ident(),
            }
        )

    @contextmanager
    def during(self, mode: str) -> Iterator[None]:
        self.mode = mode
        yield
        self.mode = ""

    def save(self) -> None:
        Path(os.environ["GROUND_TRUTH"]).write_text(json.dumps(self.events))


def record(modes: list[Callable[[], None]]) -> None:
    """Run one mode after the other under the tap, or those that the arguments name."""
    truth = GroundTruth()
    tap = install(
        os.environ["NATS_URL"],
        source=os.environ["SOURCE"],
        wrap="--listener" not in sys.argv,
        spool_directory=Path(os.environ["SPOOL"]),
    )
    wanted = {name for name in sys.argv[1:] if not name.startswith("-")}
    for mode in modes:
        if not wanted or mode.__name__ in wanted:
            with truth.during(mode.__name__):
                contextvars.Context().run(mode)
    crewai_event_bus.flush()
    assert tap.flush(10)
    assert tap.statistics()["not_recorded"] == 0, tap.statistics()
    truth.save()
