"""What the bench measures apart from its scenarios, with few connections: all is delivered and told."""

import pytest

from bridge.bench.scenarios import Scenario
from tests.bench import elsewhere
from tests.bench.compression import compressed
from tests.bench.scaling import scaled


def test_compressed_events_reach_everybody_and_are_smaller() -> None:
    lines: list[str] = []

    figures = compressed(Scenario("small", "", 5, 40, 200), lines.append)

    for name in ("shared", "aiohttp", "none"):
        assert figures[name]["delivered"] == figures[name]["expected"] == 200
        assert figures[name]["cpu_us"] > 0
    assert figures["aiohttp"]["bytes_per_event"] < figures["shared"]["bytes_per_event"]
    assert figures["shared"]["bytes_per_event"] < figures["none"]["bytes_per_event"]
    assert figures["ratio"] > 0
    assert len(lines) == 1


def test_two_workers_deliver_everything_as_one_does() -> None:
    lines: list[str] = []

    figures = scaled(Scenario("small", "", 20, 500), lines.append)

    assert (figures["1"]["delivered"], figures["2"]["delivered"]) == (1, 1)
    assert figures["2"]["cpu_us"] > 0
    assert figures["by_cpu"] > 0
    assert len(lines) == 1


def test_an_event_costs_something_beside_any_number_of_other_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"_OTHERS": (0, 20), "_EVENTS": 500, "_ROUNDS": 2, "_IDLE_SECONDS": 0.2, "_CORE_EVENTS": 200}
    for name, value in small.items():
        monkeypatch.setattr(elsewhere, name, value)
    lines: list[str] = []

    figures = elsewhere.elsewhere(lines.append)

    assert figures["core_us"].keys() == figures["cpu_us"].keys() == {"0", "20"}
    assert all(us > 0 for us in figures["core_us"].values())
    assert all(cost["least"] <= cost["median"] for cost in figures["cpu_us"].values())
    assert len(lines) == 2
