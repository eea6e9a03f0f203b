"""One crew after the other, in every mode that CrewAI has; what it emitted goes to ``GROUND_TRUTH``."""

# CrewAI is not there when types are checked: its classes and decorators are of any type.
# mypy: disable-error-code="misc, untyped-decorator"

import asyncio
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from crewai import Crew, Process
from crewai.events.base_events import BaseEvent
from crewai.events.event_bus import crewai_event_bus
from crewai.flow.flow import Flow, listen, start

from tests.crew.scenarios.hostile import hostile
from tests.crew.scenarios.offline import (
    DONE,
    SENTINEL,
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
    from crewai.memory.unified_memory import Memory
except ImportError:  # Older versions have other memories.
    Memory = None


class InvoicePaid(BaseEvent):
    """An event of the application's own."""

    type: str = "invoice_paid"
    amount: int = 12
    api_key: str = SENTINEL
    holder: object = None


def sequential() -> None:
    worker = agent(model(use("look_up", topic="tides"), DONE, use("look_up", topic="moons")), tools=[look_up])
    Crew(agents=[worker], tasks=[task("tides", worker), task("moons", worker)], name="Sea").kickoff(
        {"topic": "tides", "password": SENTINEL}
    )


def hierarchical() -> None:
    manager = model(
        use("delegate_work_to_coworker", task="look", context="now", coworker="Researcher"),
        use("ask_question_to_coworker", question="well?", context="now", coworker="Researcher"),
    )
    worker = agent()
    Crew(agents=[worker], tasks=[task("lead")], process=Process.hierarchical, manager_llm=manager).kickoff()


def failing_task() -> None:
    with suppress(RuntimeError):
        simple_crew(llm=model(failure="the model is down")).kickoff()


class Voyage(Flow):
    """A flow with a crew and a lone agent in it."""

    @start()
    def sail(self) -> str:
        return str(simple_crew().kickoff().raw)

    @listen(sail)
    def land(self, before: str) -> str:
        return str(agent(role="Captain").kickoff("land").raw)


def flow() -> None:
    Voyage().kickoff()


def failing_flow() -> None:
    class Wreck(Flow):
        @start()
        def sail(self) -> None:
            raise RuntimeError("rocks")

    with suppress(RuntimeError):
        Wreck().kickoff()


def streaming() -> None:
    simple_crew(tasks=2, llm=model("Thought: long\nFinal Answer: " + "word " * 200, stream=True)).kickoff()


def memory() -> None:
    if Memory is None:
        return
    store = Memory(
        llm=model(),
        storage=str(Path(tempfile.mkdtemp()) / "memory"),
        embedder=lambda texts: [[float(len(text) % 7), 1.0, 0.5, 0.25] for text in texts],
    )
    store.remember("the tide is high", scope="/", categories=["sea"], importance=0.5)
    store.recall("tide", depth="shallow")
    worker = agent()
    Crew(agents=[worker], tasks=[task("remember", worker)], memory=store).kickoff()


def kickoff_async() -> None:
    asyncio.run(simple_crew().kickoff_async())


def akickoff() -> None:
    async def together() -> None:
        await asyncio.gather(*(simple_crew(tasks=2).akickoff() for _ in range(3)))

    asyncio.run(together())


def kickoff_for_each() -> None:
    simple_crew().kickoff_for_each([{"n": "1"}, {"n": "2"}, {"n": "3"}])


def guardrail_retry() -> None:
    verdicts = iter([(False, "too short"), (True, "fine")])

    def judge(output: object) -> tuple[bool, str]:
        return next(verdicts, (True, "fine"))

    worker = agent()
    Crew(agents=[worker], tasks=[task("careful", worker, guardrail=judge)]).kickoff()


def tool_error() -> None:
    worker = agent(
        model(use("break_down", topic="doors"), use("break_down", topic="walls")), tools=[break_down]
    )
    Crew(agents=[worker], tasks=[task("try", worker)]).kickoff()


def custom_event() -> None:
    crewai_event_bus.emit(object(), InvoicePaid())
    crew = simple_crew()
    crew.task_callback = lambda _: crewai_event_bus.emit(crew, InvoicePaid(amount=7))
    crew.kickoff()


def threads() -> None:
    crews = [simple_crew(tasks=2) for _ in range(8)]
    running = [threading.Thread(target=crew.kickoff) for crew in crews]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def huge() -> None:
    answer = "Thought: much\nFinal Answer: " + "x" * 3_000_000
    worker = agent(model(answer))
    Crew(agents=[worker], tasks=[task("write " + "y" * 400_000, worker)]).kickoff({"topic": "z" * 900_000})


def namesakes() -> None:
    """Two objects of one crew whose author has not named it, and one of another."""
    simple_crew(tasks=2).kickoff()
    simple_crew(tasks=2).kickoff()
    simple_crew(tasks=3).kickoff()


MODES: list[Callable[[], None]] = [
    sequential, hierarchical, failing_task, flow, failing_flow, streaming, memory, kickoff_async, akickoff,
    kickoff_for_each, guardrail_retry, tool_error, custom_event, threads, huge, hostile, namesakes,
]  # fmt: skip


record(MODES)
