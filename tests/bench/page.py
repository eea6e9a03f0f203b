"""The results as a page: goals, all figures, what has a form of its own."""

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bridge.bench.report import markdown, table
from tests.bench.scenarios import GOALS

_GOALS = (
    *("scenario", "goal", "CPU of nats-server ÷ ours", "with the feeder", "CPU of nats-server ÷ bare send"),
    *("p99 ours ÷ theirs", "met", "load"),
)


def page(held: Mapping[str, Any]) -> str:
    """Markdown, from what ``full.json`` holds."""
    scenarios = held.get("scenarios", {})
    parts = [
        "# What was measured last",
        "Load is the machine's when a scenario was over: what is above 2 or 3 was others' work.",
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


def _goal(one: Mapping[str, Any], goal: float) -> Sequence[str]:
    ratio = one["cpu_ratio_to_nats"]
    return (
        one["scenario"]["title"],
        f"≥ {goal:g}",
        f"{ratio:.2f}",
        f"{one['total_cpu_ratio_to_nats']:.2f}",
        f"{one['outcomes']['nats']['median']['cpu_us'] / statistics.median(one['limits_us']):.2f}",
        f"{one['p99_ratio_to_nats']:.2f}",
        "yes" if ratio >= goal else "no",
        f"{one['environment']['load'][0]:g}",
    )
