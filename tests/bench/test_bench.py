"""The bench measures what it says: its events are events, nothing is lost, nothing is counted twice."""

import json
from pathlib import Path

import pytest

from bridge.bench import wire
from contracts.codec import StoredMessage, decode
from tests.bench.check import verdict
from tests.bench.page import page
from tests.bench.scenarios import FULL, GOALS
from tests.processes import run


@pytest.mark.parametrize("event_type", ["task.completed", "llm.chunk"])
def test_its_events_are_of_one_size_and_have_one_marker(event_type: str) -> None:
    payload = wire.event(event_type, 7, "e00001", "lead", wire.now_us())
    subject = wire.subject(event_type, "e00001")

    decoded = decode(StoredMessage(subject, payload, 812, 0), "epoch")

    assert len(payload) == wire.EVENT_BYTES
    assert decoded.wire.count(wire.MARKER) == 1
    assert decoded.wire[decoded.wire.index(wire.SENT) + len(wire.SENT) :][: wire.SENT_DIGITS].isdigit()


def test_it_compares_on_the_users_machine(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"

    done = run("bench", "burst", "--connections", "20", "--repeats", "1", "--json", str(file))

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3].startswith("| 1,000 connections, one subject")
    figures = json.loads(file.read_text())["scenarios"]["burst"]
    medians = {name: outcome["median"] for name, outcome in figures["outcomes"].items()}
    assert {name: m["delivered"] / m["expected"] for name, m in medians.items()} == {
        "bridge": 1,
        "nats": 1,
        "naive": 1,
    }
    assert medians["bridge"]["fewest"] == 1000
    assert medians["bridge"]["events_per_write"] >= 1
    assert figures["cpu_ratio_to_nats"] > 0


def test_it_refuses_a_scenario_that_does_not_exist() -> None:
    assert "invalid choice: 'dance'" in run("bench", "dance").stderr


def test_half_of_the_last_ratio_is_enough_and_less_is_not() -> None:
    assert verdict("burst", 3.5, 7.0) is None
    assert "burst" in (verdict("burst", 3.4, 7.0) or "")


def test_every_goal_is_a_scenario() -> None:
    assert GOALS.keys() <= {scenario.name for scenario in FULL}


def test_a_page_without_results_is_a_page() -> None:
    assert page({}).startswith("# What was measured last")
