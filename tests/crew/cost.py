"""What the tap costs a crew: ``PYTHONPATH=. <python with crewai> -m tests.crew.cost [nats url]``.

Set the variables of tests/crew/crewai_process.py first, or CrewAI goes online. The model answers at once, so
a crew here does in milliseconds what takes minutes in life: no slowdown in percent can be worse.
"""

import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from crewai import Crew
from crewai.events.event_bus import CrewAIEventsBus, crewai_event_bus

from bridge.crew import install
from tests.crew.scenarios.offline import DONE, agent, look_up, model, simple_crew, task, use

ROUNDS, KICKOFFS = 6, 15
local = threading.local()
costs: dict[str, list[float]] = defaultdict(list)
inner_emit = CrewAIEventsBus.emit


def timed_inner(bus: Any, source: Any, event: Any) -> Any:
    started = time.perf_counter()
    try:
        return inner_emit(bus, source, event)
    finally:
        local.spent = time.perf_counter() - started


def time_outer() -> None:
    """On top of the tap's wrapper: what the whole takes, less what CrewAI takes, is the tap's."""
    recording_emit = crewai_event_bus.emit

    def emit(source: Any, event: Any) -> Any:
        started = time.perf_counter()
        result = recording_emit(source, event)
        costs[event.type].append((time.perf_counter() - started - local.spent) * 1e6)
        return result

    crewai_event_bus.emit = emit


def crew() -> Crew:
    worker = agent(model(use("look_up", topic="a"), DONE, use("look_up", topic="b"), DONE), tools=[look_up])
    return Crew(agents=[worker], tasks=[task(f"task {n}", worker) for n in range(2)])


def kickoffs() -> list[float]:
    taken = []
    for _ in range(KICKOFFS):
        made = crew()
        started = time.perf_counter()
        made.kickoff()
        taken.append((time.perf_counter() - started) * 1e3)
    return taken


def slowdown(url: str, spool: Path) -> None:
    kickoffs()
    without: list[float] = []
    with_tap: list[float] = []
    for _ in range(ROUNDS):
        without += kickoffs()
        tap = install(url, spool_directory=spool)
        with_tap += kickoffs()
        tap.close()
    plain, tapped = median(without), median(with_tap)
    say(f"a kickoff of 2 tasks, 4 model calls, 2 tools: {plain:.1f} ms without, {tapped:.1f} ms with the tap")
    say(f"  {tapped - plain:+.2f} ms, {(tapped / plain - 1) * 100:+.1f} %")


def per_event(url: str, spool: Path) -> None:
    CrewAIEventsBus.emit = timed_inner
    tap = install(url, spool_directory=spool)
    time_outer()
    for _ in range(4):
        kickoffs()
        simple_crew(llm=model("Thought: long\nFinal Answer: " + "word " * 500, stream=True)).kickoff()
    tap.close()
    CrewAIEventsBus.emit = inner_emit
    ends = costs.pop("crew_kickoff_completed")
    chunks = costs.pop("llm_stream_chunk")
    report("an event", [cost for kind in costs.values() for cost in kind])
    for kind in sorted(costs, key=lambda kind: -median(costs[kind])):
        report(f"  {kind}", costs[kind])
    report("a chunk", chunks)
    report("the end of an execution, with its wait for acknowledgement", ends)


def report(name: str, values: list[float]) -> None:
    cuts = quantiles(values, n=100)
    say(f"{name}: median {median(values):.0f} µs, p95 {cuts[94]:.0f}, p99 {cuts[98]:.0f}, of {len(values)}")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    server = sys.argv[1] if len(sys.argv) > 1 else "nats://127.0.0.1:4222"
    with tempfile.TemporaryDirectory() as directory:
        slowdown(server, Path(directory))
        per_event(server, Path(directory))
