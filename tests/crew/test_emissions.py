"""What CrewAI 1.15.18 emitted, recorded anew: it lies between the versions that are run here.

``emissions-1.15.18.json`` is what `scenarios.offline.GroundTruth` noted of `scenarios.runs`, with
crewai==1.15.18, but for chunks: of each event its type, its id, those of what is around it and what it ends,
CrewAI's name for the execution, its source, and whether that is machinery of CrewAI's. From 1.15.17 to
1.15.20 an agent by itself begins without an execution, and its inner events are in one of the machinery's.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.crew.bench import Bench, Crew, event

EMISSIONS = json.loads((Path(__file__).parent / "emissions-1.15.18.json").read_text())
COUNTS = {
    "lone_task": 1, "lone_agent": 2, "failing_agent": 1, "checkpoint": 2, "silent_flow": 1,
    "failing_silent_flow": 1, "conversation": 1, "deferred_flow": 1,
}  # fmt: skip
ENDS = {"execution.completed", "execution.failed"}


class Internal:
    """A flow of CrewAI's machinery."""

    is_crewai_internal = True


def source(name: str, *, is_internal: bool) -> Any:
    if is_internal:
        return Internal()
    return Crew() if name.startswith("Crew-") else SimpleNamespace()


def replayed(mode: str) -> Bench:
    bench = Bench(execution=None, has_begun=False)
    sources: dict[str, Any] = {}
    for kind, name, parent, started, execution, emitter, is_internal in EMISSIONS[mode]:
        bench.execution = execution
        each = event(kind)
        each.event_id, each.parent_event_id, each.started_event_id = name, parent, started
        by = sources.setdefault(emitter, source(emitter, is_internal=is_internal))
        bench.record(each, source=by)
    return bench


@pytest.mark.parametrize("mode", EMISSIONS)
def test_an_execution_begins_once_and_ends_once_with_the_last_of_its_events(mode: str) -> None:
    bench = replayed(mode)
    executions: dict[str, list[str]] = {}
    for each in bench.taken():
        if name := each.get("execution_id"):
            executions.setdefault(name, []).append(each["event_type"])
        else:
            assert "checkpoint_restore" in each["event_type"]

    assert len(executions) == COUNTS[mode]
    for types in executions.values():
        assert (types[0], types.count("execution.started")) == ("execution.started", 1)
        assert types[-1] in ENDS
        assert sum(each in ENDS for each in types) == 1


@pytest.mark.parametrize("mode", EMISSIONS)
def test_only_the_end_of_an_execution_or_of_a_turn_waits(mode: str) -> None:
    turns = sum(kind == "conversation_turn_completed" for kind, *_ in EMISSIONS[mode])

    assert replayed(mode).ended == COUNTS[mode] + turns
