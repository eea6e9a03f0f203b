"""``python -m tests.bench.profiles``: where the bridge's time goes, as text beside the results.

Needs py-spy, which ``make bench`` installs.
"""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bridge.bench.measure import contestants
from bridge.bench.scenarios import Scenario
from tests.bench.scenarios import FULL

RESULTS: Final = Path(__file__).parent / "results"
_SECONDS: Final = 5
_RATE: Final = 250
_LINES: Final = 25
_EVENTS: Final = {"burst": 20_000, "1000x100": 600, "1000x20": 120, "own": 30_000, "own-flat-out": 100_000}
"""What is profiled, with so many events that it takes long enough."""


def main() -> int:
    """Profile what was named, or all."""
    for name in sys.argv[1:] or _EVENTS:
        scenario = next(one for one in FULL if one.name == name)
        scenario = replace(scenario, events=_EVENTS[name], servers=("bridge",), grace_seconds=60.0)
        (RESULTS / f"profile-{name}.txt").write_text(profile(scenario), encoding="utf-8")
        print(f"profiled {name}", flush=True)
    return 0


def profile(scenario: Scenario) -> str:
    """The lines in which the bridge spent its time."""
    with TemporaryDirectory(prefix="crew-bridge-bench-") as name, contestants(scenario, Path(name)) as (one,):
        one.open()
        stacks = Path(name) / "stacks"
        spy = [str(Path(sys.executable).with_name("py-spy")), "record", "-f", "raw", "-o", str(stacks)]
        options = ["-r", str(_RATE), "-d", str(_SECONDS), "-p", str(one.server.pid)]
        with subprocess.Popen(
            [*spy, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as running:
            time.sleep(0.5)
            done = one.round()
            running.wait()
        head = f"{scenario.title}\n{done.cpu_us:.3f} µs CPU a delivery, {done.per_second:,.0f} deliveries/s\n"
        return head + "\n".join(_tables(stacks.read_text(encoding="utf-8")))


def _tables(stacks: str) -> Iterator[str]:
    """Where samples were taken, and what had called it; ``stacks`` has a stack and its count in each line."""
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        own[frames[-1]] += int(count)
        within.update(dict.fromkeys(frames, int(count)))
    samples = own.total()
    for title, counts in (("in the line itself", own), ("in the line and what it calls", within)):
        yield f"\n{title}, of {samples} samples"
        yield from (f"{count / samples:6.1%}  {where}" for where, count in counts.most_common(_LINES))


if __name__ == "__main__":
    sys.exit(main())
