"""Fails where the lead over nats-server's WebSocket has shrunk to less than half of what was last committed.

Also where not everything was delivered. Ratios of CPU within one run are steady, even on a slow and
shared machine; half leaves wide margins.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from bridge.bench.report import incomplete
from bridge.bench.run import Compared, Say, compare
from bridge.bench.scenarios import BOTH, Scenario
from tests.bench.scenarios import CHECKED

COMMITTED: Final = Path(__file__).parent / "results" / "full.json"
_SHARE: Final = 0.5
_REPEATS: Final = 3


def verdict(name: str, ratio: float, committed: float) -> str | None:
    """What is wrong with a ratio; None if nothing is."""
    if ratio >= committed * _SHARE:
        return None
    return (
        f"{name}: nats-server's CPU is {ratio:.2f} of ours, and was {committed:.2f}: less than half is left"
    )


def faults(done: Compared, committed: float) -> list[str]:
    """What is wrong with one scenario."""
    slow = verdict(done.scenario.name, done.ratio() or 0.0, committed)
    return [*incomplete(done.to_json()), *([slow] if slow else [])]


def check(scenarios: Sequence[Scenario], committed: Mapping[str, float], repeats: int, say: Say) -> list[str]:
    """Measure, compare with what was committed; what is wrong."""
    found = []
    for scenario in scenarios:
        done = compare(replace(scenario, servers=BOTH), repeats, say)
        ratio, last = done.ratio(), committed[scenario.name]
        say(f"{scenario.name}: CPU of nats-server's WebSocket by ours {ratio:.2f}, last committed {last:.2f}")
        found += faults(done, last)
    return found


def main() -> int:
    """Measure, compare; the exit code."""
    held = json.loads(COMMITTED.read_text(encoding="utf-8"))["scenarios"]
    committed = {name: one["cpu_ratio_to_nats"] for name, one in held.items()}
    found = check(CHECKED, committed, _REPEATS, partial(print, flush=True))
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
