"""A flow that waits for a person, goes on in the same process or in another, and is one execution."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.crew.bench import Bench, event
from tests.crew.crewai_process import CrewProcess
from tests.crew.stored import Stored, everything
from tests.crew.truth import assert_complete, assert_dense

REQUESTS = [
    {"prompt": "Is it good?", "choices": ["yes", "no"], "method": "write", "name": "Draft"},
    {"prompt": "Shall it be sent?", "method": "send", "name": "Draft"},
]


@dataclass(frozen=True)
class Pauses:
    emitted: list[dict[str, Any]]
    stored: list[Stored]

    @property
    def types(self) -> list[str]:
        return [message.type for message in self.stored]


def _in_one_process(python: str, url: str, home: Path) -> Pauses:
    process = CrewProcess(python, home)
    process.run("pauses", "both", nats_url=url, source=f"pauses-{home.name}")
    emitted = json.loads(process.truth.read_text())
    return Pauses(emitted, asyncio.run(everything(url, f"pauses-{home.name}")))


@pytest.fixture(scope="module")
def one_process(crewai_python: str, stream_url: str, tmp_path_factory: pytest.TempPathFactory) -> Pauses:
    return _in_one_process(crewai_python, stream_url, tmp_path_factory.mktemp("pauses"))


@pytest.fixture(scope="module")
def old_process(old_crewai_python: str, stream_url: str, tmp_path_factory: pytest.TempPathFactory) -> Pauses:
    return _in_one_process(old_crewai_python, stream_url, tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def three_processes(crewai_python: str, stream_url: str, tmp_path_factory: pytest.TempPathFactory) -> Pauses:
    """One begins it, the other two go on with it."""
    process = CrewProcess(crewai_python, tmp_path_factory.mktemp("three"))
    emitted = []
    said = process.run("pauses", "pause", nats_url=stream_url, source="pauses-three")
    emitted += json.loads(process.truth.read_text())
    for _ in range(2):
        process.run("pauses", "resume", said.split()[-1], nats_url=stream_url, source="pauses-three")
        emitted += json.loads(process.truth.read_text())
    return Pauses(emitted, asyncio.run(everything(stream_url, "pauses-three")))


@pytest.mark.parametrize("name", ["one_process", "old_process", "three_processes"])
def test_a_flow_that_pauses_is_one_execution(name: str, request: pytest.FixtureRequest) -> None:
    pauses: Pauses = request.getfixturevalue(name)
    kinds = Counter(pauses.types)

    assert_complete(pauses.emitted, pauses.stored)
    assert len({message.event.get("execution_id") for message in pauses.stored}) == 1
    assert pauses.types[0] == "execution.started"
    assert pauses.types[-1] == "execution.completed"
    assert kinds["execution.started"] == kinds["execution.completed"] == 1
    assert kinds["execution.failed"] == 0


@pytest.mark.parametrize("name", ["one_process", "old_process", "three_processes"])
def test_each_pause_is_told_once_with_what_a_person_is_asked(
    name: str, request: pytest.FixtureRequest
) -> None:
    pauses: Pauses = request.getfixturevalue(name)
    asked = [message.event["data"] for message in pauses.stored if message.type == "human.input_requested"]
    flows = {each.pop("flow") for each in asked}

    assert asked == REQUESTS
    assert len(flows) == 1
    assert pauses.types.count("flow.paused") == 2
    before = [pauses.types[place - 1] for place, kind in enumerate(pauses.types) if kind == "flow.paused"]
    assert before == ["human.input_requested"] * 2


@pytest.mark.parametrize("name", ["one_process", "three_processes"])
def test_a_flow_that_goes_on_says_so(name: str, request: pytest.FixtureRequest) -> None:
    pauses: Pauses = request.getfixturevalue(name)
    started = [message.event["data"] for message in pauses.stored if message.type == "flow.started"]

    assert [each.get("resumed", False) for each in started] == [False, True, True]


def test_each_worker_counts_its_part_of_an_execution(three_processes: Pauses) -> None:
    assert len({message.worker for message in three_processes.stored}) == 3
    assert_dense(three_processes.stored)


def test_a_flow_that_pauses_within_another_leaves_the_other_running() -> None:
    class Source:
        """A flow."""

    bench, outer, inner = Bench(has_begun=False), Source(), Source()
    start = event("flow_started")
    nested = event("flow_started", start)
    bench.record(start, source=outer)
    bench.record(nested, source=inner)
    bench.record(event("flow_paused", start, nested, message="well?", flow_id="f2"), source=inner)
    assert bench.ended == 0
    bench.record(event("flow_finished", None, start), source=outer)

    types = bench.types()
    assert types.count("human.input_requested") == types.count("flow.paused") == 1
    assert types[-1] == "execution.completed"
