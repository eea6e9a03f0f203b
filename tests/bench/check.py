"""Fails where the lead over nats-server's WebSocket has shrunk to less than half of what was last committed.

Ratios of CPU within one run are steady, also on a machine that is slow and shared; half leaves wide margins.
"""

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from bridge.bench.run import compare
from bridge.bench.scenarios import BOTH
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


def main() -> int:
    """Measure, compare; the exit code."""
    committed = json.loads(COMMITTED.read_text(encoding="utf-8"))["scenarios"]
    faults = []
    for scenario in CHECKED:
        done = compare(replace(scenario, servers=BOTH), _REPEATS, partial(print, flush=True))
        ratio, last = done.ratio() or 0.0, committed[scenario.name]["cpu_ratio_to_nats"]
        print(
            f"{scenario.name}: CPU of nats-server's WebSocket by ours {ratio:.2f}, last committed {last:.2f}"
        )
        faults.append(verdict(scenario.name, ratio, last))
    print(*(fault for fault in faults if fault), sep="\n")
    return 1 if any(faults) else 0


if __name__ == "__main__":
    sys.exit(main())
