"""The results as a table in text."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_HEAD = (
    "scenario", "server", "delivered", "µs CPU a delivery", "with feeder", "deliveries/s", "p50 ms", "p99 ms",
    "p99.9 ms", "KiB a connection", "handshakes a CPU second", "CPU, theirs ÷ ours", "CPU ÷ bare send",
)  # fmt: skip


def table(all_: Iterable[Mapping[str, Any]]) -> str:
    """Markdown: a row for each server in each scenario, as `bridge.bench.run.Compared.to_json` has them."""
    rows = [_row(one, name, outcome) for one in all_ for name, outcome in one["outcomes"].items()]
    return markdown([_HEAD, *rows])


def delivered(one: Mapping[str, Any], server: str) -> float:
    """The share of what was due that came in the worst round, or to the connection that got the fewest."""
    scenario = one["scenario"]
    readers = scenario["connections"] - scenario["stalled"]
    return float(
        min(
            min(done["delivered"], done["fewest"] * readers) / done["expected"]
            for done in one["outcomes"][server]["rounds"]
        )
    )


def incomplete(one: Mapping[str, Any]) -> list[str]:
    """What was not delivered, a line for each server; figures of who delivers less are not comparable."""
    shares = {server: delivered(one, server) for server in one["outcomes"]}
    name = one["scenario"]["name"]
    return [f"{name}: {server} delivered {percent(s)} only" for server, s in shares.items() if s < 1]


def percent(share: float) -> str:
    """Rounded down: 100 % is everything."""
    return f"{math.floor(share * 1000) / 10:g}%"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table, the first row of which is its head."""
    head, *others = rows
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *others))


def _row(one: Mapping[str, Any], name: str, outcome: Mapping[str, Any]) -> Sequence[str]:
    figures, opened = outcome["median"], outcome["opened"]
    return (
        one["scenario"]["title"],
        name,
        percent(delivered(one, name)),
        f"{figures['cpu_us']:.3f}",
        f"{figures['total_cpu_us']:.3f}",
        f"{figures['delivered'] / figures['seconds']:,.0f}",
        f"{figures['p50_ms']:.1f}",
        f"{figures['p99_ms']:.1f}",
        f"{figures['p999_ms']:.1f}",
        f"{opened['rss_bytes'] / 1024:.1f}",
        f"{1e6 / max(opened['cpu_us'], 1e-3):,.0f}",
        _number(one.get(f"cpu_ratio_to_{name}")),
        _number(one["cpu_ratio_to_limit"]) if name == "bridge" else "",
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
