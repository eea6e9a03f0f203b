"""The goals that are not ratios of a scenario: memory, compression, what holds the loop, workers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bridge.bench.report import markdown

Held = Mapping[str, Any]
"""What ``full.json`` holds."""


@dataclass(frozen=True, slots=True)
class Aim:
    """One figure, and what it is to be."""

    title: str
    bound: float
    figure: Callable[[Held], float]
    is_least: bool = False
    """``bound`` is the least that is good enough, not the most."""

    def row(self, value: float) -> tuple[str, str, str, str]:
        """What a page says of it."""
        is_met = value >= self.bound if self.is_least else value <= self.bound
        sign = "≥" if self.is_least else "≤"
        return self.title, f"{sign} {self.bound:,g}", f"{value:,.3f}", "yes" if is_met else "no"


def _of_others(held: Held) -> float:
    costs = held["special"]["elsewhere"]["core_us"]
    return float(costs["5000"] / costs["0"])


def _long_turns(held: Held) -> float:
    loads = held["special"]["hold"]
    return float(sum(loads[name]["turns"]["too_long"] for name in loads if name.startswith("10000x")))


def _compression(load: str, name: str) -> Aim:
    return Aim(
        f"CPU with aiohttp's compression ÷ with the shared one, {load} events/s",
        4,
        lambda held: held["special"]["compression"][name]["ratio"],
        is_least=True,
    )


AIMS: Final = (
    Aim("KiB an idle connection", 20, lambda held: held["special"]["idle"]["bridge"]["rss_bytes"] / 1024),
    Aim(
        "memory of an idle connection, ours ÷ nats-server's",
        0.5,
        lambda held: (
            held["special"]["idle"]["bridge"]["rss_bytes"] / held["special"]["idle"]["nats"]["rss_bytes"]
        ),
    ),
    Aim(
        "CPU ÷ bare send where an event is a write, at 1,000 x 20 events/s",
        1.4,
        lambda held: held["scenarios"]["1000x20"]["cpu_ratio_to_limit"],
    ),
    _compression("500 x 100", "500x100"),
    _compression("1,000 x 100", "1000x100"),
    Aim(
        "the share that 900 connections get while 100 never read",
        1,
        lambda held: held["special"]["stalled"]["bridge"]["delivered"],
        is_least=True,
    ),
    Aim(
        "the share that 5,000 get that come back at once",
        1,
        lambda held: held["special"]["storm"]["delivered"],
        is_least=True,
    ),
    Aim(
        "validated events/s into the log, on one core",
        25_000,
        lambda held: held["special"]["ingest"]["per_cpu_second"],
        is_least=True,
    ),
    Aim("turns of a flush over 10,000 connections that took more than 10 ms", 0, _long_turns),
    Aim(
        "two workers ÷ one, by the CPU of the busiest",
        1.7,
        lambda held: held["special"]["workers"]["one-subject"]["by_cpu"],
        is_least=True,
    ),
    Aim("an event in the core beside 5,000 groups that do not match ÷ beside none", 1.1, _of_others),
)


def aims(held: Held) -> str:
    """A table of those that were measured."""
    return markdown([("goal", "to be", "is", "met"), *_rows(held)])


def _rows(held: Held) -> Iterator[tuple[str, str, str, str]]:
    for aim in AIMS:
        try:
            value = aim.figure(held)
        except KeyError:
            continue
        yield aim.row(value)
