"""The results as a page: goals, all figures, what has a form of its own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bridge.bench.report import incomplete, markdown, table
from tests.bench.aims import aims
from tests.bench.scenarios import GOALS, Goal

_GOALS = (
    *("scenario", "goal", "CPU of nats-server ÷ ours", "with the feeder", "CPU of nats-server ÷ bare send"),
    *("p99 ours ÷ theirs", "its goal", "of the rate", "CPU of naive ÷ ours", "its goal", "met", "load"),
)

_WHOLE = 1000
"""Figures from here on need no decimals."""


def page(held: Mapping[str, Any]) -> str:
    """Markdown, from what ``full.json`` holds."""
    scenarios = held.get("scenarios", {})
    parts = [
        "# What was measured last",
        "Load is the machine's when a scenario was over: what is above 2 or 3 was others' work.",
        *_machines(scenarios.values()),
        "## Goals",
        markdown(
            [_GOALS, *(_goal(scenarios[name], goal) for name, goal in GOALS.items() if name in scenarios)]
        ),
        "## Other goals",
        aims(held),
        "## All figures",
        "Medians of all rounds. `bare send` is a loop of `send` of as many bytes to as many sockets, in the "
        "same run.",
        table(scenarios.values()),
        "## The rest",
        *(f"### {name}\n\n{_figures(figures)}" for name, figures in held.get("special", {}).items()),
    ]
    return "\n\n".join(parts) + "\n"


def _machines(all_: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each machine, and what ran on it, that has a part in the results."""
    names = ("processor", "cores", "system", "python", "nats_server")
    found = ({name: one["environment"].get(name) for name in names} for one in all_)
    lines = [
        ", ".join(f"{name.replace('_', '-')} {value}" for name, value in one.items() if value)
        for one in found
    ]
    return [f"Measured on: {line}." for line in dict.fromkeys(lines)]


def _goal(one: Mapping[str, Any], goal: Goal) -> Sequence[str]:
    ratio, p99, naive = one["cpu_ratio_to_nats"], one["p99_ratio_to_nats"], one["cpu_ratio_to_naive"]
    share = _share(one)
    is_met = (
        not incomplete(one)
        and ratio >= goal.cpu
        and (goal.p99 is None or p99 <= goal.p99)
        and (goal.naive is None or naive >= goal.naive)
        and (goal.rate is None or share >= goal.rate)
    )
    return (
        one["scenario"]["title"],
        f"≥ {goal.cpu:g}",
        f"{ratio:.2f}",
        f"{one['total_cpu_ratio_to_nats']:.2f}",
        _cell(one.get("nats_cpu_ratio_to_limit")),
        f"{p99:.2f}",
        "" if goal.p99 is None else f"≤ {goal.p99:g}",
        f"{share:.1%}" if one["scenario"]["rate"] else "",
        _cell(naive),
        "" if goal.naive is None else f"≥ {goal.naive:g}",
        "yes" if is_met else "no",
        f"{one['environment']['load'][0]:g}",
    )


def _cell(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _share(one: Mapping[str, Any]) -> float:
    """How much of what was to be delivered our bridge has delivered in the time it was published in."""
    done, scenario = one["outcomes"]["bridge"]["median"], one["scenario"]
    if not scenario["rate"]:
        return float(done["delivered"] / done["expected"])
    due = scenario["events"] / scenario["rate"]
    return float(done["delivered"] / done["expected"] * min(1.0, due / done["seconds"]))


def _figures(figures: Mapping[str, Any]) -> str:
    """Nested figures as a table: a row for each, named by the way to it."""
    return markdown([("figure", "value"), *_flat("", figures)])


def _flat(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}, {key}" if name else str(key), inner)
    else:
        yield name, _number(value)


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= _WHOLE else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
