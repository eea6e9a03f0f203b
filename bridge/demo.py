"""A crew that never rests, for the demo: it publishes what a real one would, without a model behind it."""

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import count
from typing import Any, Final

from bridge.crew import EventPublisher
from contracts import WebSocketEvent, create_event, create_execution_event, create_task_event

_CREWS: Final = ("research", "newsroom", "support")
_TASKS: Final = ("gather", "analyse", "write", "review")
_ROLES: Final = {"gather": "Researcher", "analyse": "Analyst", "write": "Writer", "review": "Editor"}
_ANSWER: Final = "The crew looked at what it had found and wrote down what mattered most."
_FAILS_ONE_IN: Final = 12


async def play(nats_url: str) -> None:
    """Run executions of several crews side by side, for ever."""
    async with EventPublisher(nats_url) as publisher, asyncio.TaskGroup() as tasks:
        for crew_id in _CREWS:
            tasks.create_task(_run_for_ever(publisher, crew_id))


async def _run_for_ever(publisher: EventPublisher, crew_id: str) -> None:
    for number in count(1):
        sequence = count(1)
        execution_id = f"{crew_id}-{number}"
        async for event in _execution(execution_id):
            given = {"crew_id": crew_id, "execution_id": execution_id, "sequence": next(sequence)}
            await publisher.publish(event.model_copy(update={**given, "source": "demo"}))
        await _pause(1.0)


async def _execution(execution_id: str) -> AsyncIterator[WebSocketEvent]:
    """One run: its tasks one after the other, with what happens in each."""
    yield create_execution_event(execution_id, "started", total_tasks=len(_TASKS), inputs={"topic": "tides"})
    for done, name in enumerate(_TASKS):
        async for event in _task(f"{execution_id}-{name}", name):
            yield event
        if random.randrange(_FAILS_ONE_IN) == 0:  # noqa: S311 - a demo
            yield create_task_event(f"{execution_id}-{name}", "failed", error="the source did not answer")
            yield create_execution_event(execution_id, "failed", error=f"task {name} failed")
            return
        done_in = {"result": _ANSWER, "duration_ms": 2600.0}
        yield create_task_event(f"{execution_id}-{name}", "completed", name=name, **done_in)
        progress = (done + 1) / len(_TASKS)
        yield create_execution_event(
            execution_id, "progress", progress=progress, completed_tasks=done + 1, total_tasks=len(_TASKS)
        )
    ended = {"result": "a short report on tides", "duration_ms": 10_400.0}
    yield create_execution_event(execution_id, "completed", **ended)


async def _task(task_id: str, name: str) -> AsyncIterator[WebSocketEvent]:
    """What an agent does for a task: a tool, a model that streams."""
    agent: dict[str, Any] = {"task_id": task_id, "agent_id": _ROLES[name].lower()}
    yield create_task_event(task_id, "assigned", name=name, agent=_ROLES[name])
    yield create_event("agent.started", role=_ROLES[name], **agent)
    await _pause(0.4)
    yield create_event("tool.started", tool="search", arguments={"query": name}, **agent)
    await _pause(0.6)
    yield create_event("tool.finished", tool="search", result="3 pages", duration_ms=600.0, **agent)
    yield create_event("llm.call_started", call_id=f"{task_id}-1", model="demo", **agent)
    for word in _ANSWER.split():
        await _pause(0.1)
        yield create_event("llm.chunk", call_id=f"{task_id}-1", text=f"{word} ", **agent)
    used: dict[str, Any] = {
        "input_tokens": 70,
        "output_tokens": 20,
        "total_tokens": 90,
        "duration_ms": 1600.0,
    }
    yield create_event("llm.call_completed", call_id=f"{task_id}-1", model="demo", **used, **agent)
    yield create_event("agent.completed", role=_ROLES[name], **agent)


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds * random.uniform(0.5, 1.5))  # noqa: S311 - a demo
