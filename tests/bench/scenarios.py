"""Every scenario that is measured, with the goal for each."""

from dataclasses import dataclass, replace
from typing import Final

from bridge.bench.scenarios import BOTH, BURST, OWN, QUICK, STEADY, Scenario

FULL: Final = (
    BURST,
    Scenario("1000x1000", "1,000 connections x 1,000 events/s", 1000, 2000, 1000, servers=BOTH),
    STEADY,
    next(scenario for scenario in QUICK if scenario.name == "1000x20"),
    Scenario(
        "10-groups",
        "10 groups of 100 connections, 1,000 events/s in all",
        1000,
        2000,
        1000,
        executions=10,
        servers=BOTH,
    ),
    Scenario("100x100", "100 connections x 100 events/s", 100, 300, 100, servers=BOTH),
    Scenario("5000x20", "5,000 connections x 20 events/s", 5000, 60, 20, servers=BOTH),
    Scenario("10000x2", "10,000 connections x 2 events/s", 10_000, 6, 2, servers=BOTH),
    Scenario("10000x10", "10,000 connections x 10 events/s", 10_000, 30, 10, servers=BOTH),
    Scenario(
        "10000x100",
        "10,000 connections x 100 events/s",
        10_000,
        100,
        100,
        servers=BOTH,
        grace_seconds=20.0,
    ),
    Scenario(
        "own",
        "1,000 connections, each its own execution, 5,000 events/s in all",
        1000,
        10_000,
        5000,
        executions=1000,
        servers=BOTH,
    ),
    OWN,
    Scenario(
        "1000-filters",
        "1,000 connections, 1,000 different filters that all match, 100 events/s",
        1000,
        200,
        100,
        options='#{"action":"filter","filter":{"agents":["lead","a{n}"]}}',
        servers=BOTH,
    ),
    Scenario(
        "tokens",
        "token streaming: 50 crews x 50 chunks/s, 5 viewers each",
        250,
        5000,
        2500,
        executions=50,
        event_type="llm.chunk",
        servers=BOTH,
    ),
)


@dataclass(frozen=True, slots=True)
class Goal:
    """What a scenario is to reach."""

    cpu: float
    """CPU of nats-server's WebSocket by ours, per event delivered, at least."""
    p99: float | None = None
    """Our latency by theirs, at most."""
    naive: float | None = None
    """CPU of the naive bridge by ours, at least."""
    rate: float | None = None
    """The share of what is due that is delivered in time, at least."""


GOALS: Final = {
    "burst": Goal(7.0, naive=60.0),
    "1000x1000": Goal(2.5, p99=0.5, rate=0.97),
    "1000x100": Goal(2.8, p99=1.3, naive=2.8),
    "1000x20": Goal(1.8),
    "10-groups": Goal(2.4),
    "100x100": Goal(1.6, p99=1.0),
    "5000x20": Goal(1.6),
    "10000x100": Goal(8.0),
    "own": Goal(1.5),
    "own-flat-out": Goal(0.8),
}
"""By name of the scenario."""

CHECKED: Final = (
    BURST,
    replace(STEADY, events=150),
    replace(OWN, events=10_000),
)
"""What CI looks at: a burst, a steady stream, and ingest."""
