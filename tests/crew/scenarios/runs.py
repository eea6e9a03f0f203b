"""Runs that do not begin with a kickoff, or do not end with it, one after the other."""

# CrewAI is not there when types are checked: its classes and decorators are of any type.
# mypy: disable-error-code="misc, untyped-decorator"

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from crewai import Crew
from crewai.flow.flow import Flow, listen, start
from crewai.llms.providers.openai.completion import OpenAICompletion
from crewai.state.checkpoint_config import CheckpointConfig
from crewai.tools import tool

from tests.crew.scenarios.offline import (
    ScriptedModel,
    agent,
    break_down,
    look_up,
    model,
    record,
    simple_crew,
    task,
    use,
)

try:
    from crewai.execution import set_execution_uuid
except ImportError:  # Before 1.15.16 CrewAI did not know the outermost run.
    set_execution_uuid = None

try:
    from crewai.flow.conversational import ConversationConfig
except ImportError:  # Older versions have no conversations.
    ConversationConfig = None

try:
    from crewai.tools.tool_failure import ToolFailure
except ImportError:  # Older versions have tools that return or raise.
    ToolFailure = None


def replay() -> None:
    crew = simple_crew(tasks=2)
    crew.kickoff()
    crew.replay(str(crew.tasks[1].id))


def failing_replay() -> None:
    crew = simple_crew(tasks=2)
    crew.kickoff()
    crew.agents[0].llm = model(failure="the model is down")
    with suppress(RuntimeError):
        crew.replay(str(crew.tasks[1].id))


def lone_task() -> None:
    worker = agent(model(use("look_up", topic="tides"), stream=True), tools=[look_up])
    task("alone", worker).execute_sync()


def lone_agent() -> None:
    agent(model(use("look_up", topic="tides"), stream=True), tools=[look_up]).kickoff("look")
    asyncio.run(agent().kickoff_async("look"))


def failing_agent() -> None:
    with suppress(RuntimeError):
        agent(model(failure="the model is down")).kickoff("look")


def answer(llm: Any, messages: Any, **kwargs: Any) -> str:
    """In the place of a model of OpenAI's, which is what a checkpoint can name."""
    return ScriptedModel(model="fake/model", answers=[])._answer(
        messages, kwargs.get("from_task"), kwargs.get("from_agent")
    )


def checkpoint() -> None:
    """A crew that goes on where an earlier one stopped; its kickoff and its first task are not repeated."""
    OpenAICompletion.call = lambda self, messages, *_, **kwargs: answer(self, messages, **kwargs)
    directory = tempfile.mkdtemp()
    worker = agent()
    worker.llm = OpenAICompletion(model="gpt-4o", api_key="none")
    Crew(
        agents=[worker],
        tasks=[task("tides", worker), task("moons", worker)],
        checkpoint=CheckpointConfig(location=directory, on_events=["task_completed"]),
    ).kickoff()
    first = min(Path(directory).rglob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    Crew.from_checkpoint(CheckpointConfig(restore_from=str(first))).kickoff()


class TwoCrews(Flow):
    """A flow with one crew after the other."""

    @start()
    def one(self) -> str:
        return str(simple_crew().kickoff().raw)

    @listen(one)
    def two(self, before: str) -> str:
        return str(simple_crew().kickoff().raw)


def silent_flow() -> None:
    TwoCrews(suppress_flow_events=True).kickoff()


def failing_silent_flow() -> None:
    class Wreck(Flow):
        @start()
        def sail(self) -> None:
            simple_crew().kickoff()
            raise RuntimeError("rocks")

    with suppress(RuntimeError):
        Wreck(suppress_flow_events=True).kickoff()


def conversation() -> None:
    talk = _conversation()
    if talk is not None:
        talk.finalize_session_traces()


def conversation_left_open() -> None:
    kept.append(_conversation())


def conversation_by_turns() -> None:
    _conversation(defer_trace_finalization=False)


def _conversation(**config: Any) -> Any:
    if ConversationConfig is None:
        return None

    @ConversationConfig(llm=model("hello", "goodbye"), **config)
    class Talk(Flow):
        """Answers what it is told."""

    talk = Talk()
    talk.handle_turn("hello", session_id="s1")
    talk.handle_turn("goodbye", session_id="s1")
    return talk


def deferred_flow() -> None:
    flow = TwoCrews()
    flow.defer_trace_finalization = True
    flow.kickoff()
    flow.kickoff()
    if hasattr(flow, "finalize_session_traces"):
        flow.finalize_session_traces()


def sticky_name() -> None:
    if set_execution_uuid is not None:
        set_execution_uuid("job-7")
    simple_crew().kickoff()
    simple_crew().kickoff()


def raising_callback() -> None:
    """CrewAI says that the crew is done, then that it failed."""

    def fail(result: object) -> None:
        raise RuntimeError("too late")

    crew = simple_crew()
    crew.after_kickoff_callbacks = [fail]
    with suppress(RuntimeError):
        crew.kickoff()
    simple_crew().kickoff()


def crew_test() -> None:
    """A scope with kickoffs in it: they are runs of the test."""
    crew = simple_crew()
    with suppress(Exception):
        crew.test(n_iterations=2, eval_llm=model('{"quality": 5}'))


def raising_tool() -> None:
    _calls(break_down, use("break_down", topic="doors"))


def raising_once() -> None:
    reasons = [ValueError("not yet"), ValueError("nor now")]  # CrewAI calls twice in each attempt.

    @tool("Look up")
    def moody(topic: str) -> str:
        """Look something up."""
        if reasons:
            raise reasons.pop()
        return "found"

    _calls(moody, use("look_up", topic="tides"))


def limited_tool() -> None:
    @tool("Look up", max_usage_count=1)
    def limited(topic: str) -> str:
        """Look something up."""
        return "found"

    _calls(limited, use("look_up", topic="tides"), use("look_up", topic="moons"))


def reporting_tool() -> None:
    if ToolFailure is None:
        return

    @tool("Look up")
    def honest(topic: str) -> Any:
        """Look something up."""
        return ToolFailure(message="closed today")

    _calls(honest, use("look_up", topic="tides"))


def missing_tool() -> None:
    _calls(look_up, use("dig_up", topic="tides"))


def garbled_arguments() -> None:
    _calls(look_up, "Thought: now\nAction: look_up\nAction Input: [1, 2")


class NativeModel(ScriptedModel):
    """Asks for tools by the protocol of its own, several at once."""

    wanted: list[Any]

    def _answer(self, messages: Any, task: Any, agent: Any) -> Any:
        said = super()._answer(messages, task, agent)
        return self.wanted.pop(0) if self.wanted else said.rpartition(": ")[2]

    def supports_function_calling(self) -> bool:
        return True


def native_calls() -> None:
    def want(number: int, name: str, arguments: str) -> Any:
        return SimpleNamespace(id=f"call-{number}", function=SimpleNamespace(name=name, arguments=arguments))

    topic = '{"topic": "tides"}'
    wanted = [
        [want(1, "break_down", topic), want(2, "break_down", topic), want(3, "look_up", topic)],
        [want(4, "dig_up", topic)],
        [want(5, "look_up", "{")],
    ]
    worker = agent(NativeModel(model="fake/model", answers=[], wanted=wanted), tools=[break_down, look_up])
    Crew(agents=[worker], tasks=[task("call", worker)]).kickoff()


def _calls(called: Any, *answers: str) -> None:
    worker = agent(model(*answers), tools=[called])
    Crew(agents=[worker], tasks=[task("call", worker)]).kickoff()


kept: list[Any] = []

MODES: list[Callable[[], None]] = [
    replay, failing_replay, lone_task, lone_agent, failing_agent, checkpoint, silent_flow,
    failing_silent_flow, conversation, conversation_left_open, conversation_by_turns, deferred_flow,
    sticky_name, raising_callback, crew_test, raising_tool, raising_once, limited_tool, reporting_tool,
    missing_tool, garbled_arguments, native_calls,
]  # fmt: skip

record(MODES)
