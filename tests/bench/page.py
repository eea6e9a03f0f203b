"""The results as a page: goals, all figures, what has a form of its own."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bridge.bench.report import markdown, table
from tests.bench.scenarios import GOALS

_GOALS = ("scenario", "goal", "CPU of nats-server ÷ ours", "with the feeder", "p99 ours ÷ theirs", "met")


def page(held: Mapping[str, Any]) -> str:
    """Markdown, from what ``full.json`` holds."""
    scenarios = held.get("scenarios", {})
    parts = [
        "# What was measured last",
        _environment(held.get("environment", {})),
        "## Goals",
        markdown(
            [_GOALS, *(_goal(scenarios[name], goal) for name, goal in GOALS.items() if name in scenarios)]
        ),
        "## All figures",
        "Medians of all rounds. `bare send` is a loop of `send` of as many bytes to as many sockets, in the "
        "same run.",
        table(scenarios.values()),
        "## The rest",
        *(
            f"{name}:\n\n```json\n{json.dumps(f, indent=1)}\n```"
            for name, f in held.get("special", {}).items()
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _environment(known: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in known.items())


def _goal(one: Mapping[str, Any], goal: float) -> Sequence[str]:
    ratio = one["cpu_ratio_to_nats"]
    return (
        one["scenario"]["title"],
        f"≥ {goal:g}",
        f"{ratio:.2f}",
        f"{one['total_cpu_ratio_to_nats']:.2f}",
        f"{one['p99_ratio_to_nats']:.2f}",
        "yes" if ratio >= goal else "no",
    )
