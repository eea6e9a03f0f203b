"""A comparison: every scenario, round after round, the servers taking turns."""

import json
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bridge.bench.limit import Limit, limit
from bridge.bench.measure import Contestant, Opened, Round, contestants
from bridge.bench.scenarios import Scenario
from bridge.embedded import find_binary
from bridge.files import with_files_for

Say = Callable[[str], None]
RATIO: Final = "nats"
"""The server that ratios are to."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one server did in one scenario: the median of each figure over the rounds."""

    opened: Opened
    median: Round
    rounds: list[Round]


@dataclass(frozen=True, slots=True)
class Compared:
    """One scenario, by server."""

    scenario: Scenario
    outcomes: dict[str, Outcome]
    limits_us: list[float]
    """What a bare ``send`` of as many bytes takes for an event, in each round."""

    def ratio(self, other: str = RATIO, figure: str = "cpu_us") -> float | None:
        """The other server's figure by ours, within each round; the median of that. None if it has none."""
        ours, theirs = self.outcomes.get("bridge"), self.outcomes.get(other)
        if ours is None or theirs is None:
            return None
        pairs = zip(_figures(theirs, figure), _figures(ours, figure), strict=True)
        return statistics.median(a / max(b, 1e-9) for a, b in pairs)

    def ratio_to_limit(self, server: str) -> float | None:
        """The server's CPU by that of the bare ``send``, within each round; the median of that."""
        if server not in self.outcomes:
            return None
        pairs = zip(_figures(self.outcomes[server], "cpu_us"), self.limits_us, strict=True)
        return statistics.median(spent / max(limit, 1e-9) for spent, limit in pairs)

    def to_json(self) -> dict[str, Any]:
        """Everything that was measured, for a file."""
        return {
            "scenario": asdict(self.scenario),
            "outcomes": {name: asdict(outcome) for name, outcome in self.outcomes.items()},
            "limits_us": self.limits_us,
            "cpu_ratio_to_nats": self.ratio(),
            "total_cpu_ratio_to_nats": self.ratio(figure="total_cpu_us"),
            "cpu_ratio_to_naive": self.ratio("naive"),
            "cpu_ratio_to_limit": self.ratio_to_limit("bridge"),
            "nats_cpu_ratio_to_limit": self.ratio_to_limit(RATIO),
            "p99_ratio_to_nats": _inverse(self.ratio(figure="p99_ms")),
        }


def _figures(outcome: Outcome, figure: str) -> list[float]:
    return [getattr(done, figure) for done in outcome.rounds]


def _inverse(value: float | None) -> float | None:
    return 1 / value if value else None


def compare(scenario: Scenario, repeats: int, say: Say) -> Compared:
    """Measure one scenario, ``repeats`` rounds with each server."""
    with (
        TemporaryDirectory(prefix="crew-bridge-bench-") as name,
        contestants(scenario, Path(name)) as all_,
        limit(scenario, Path(name)) as bare,
    ):
        opened = {one.server.name: one.open() for one in all_}
        _warm_up(all_, bare)
        limits: list[float] = []
        rounds: dict[str, list[Round]] = {one.server.name: [] for one in all_}
        for number in range(repeats):
            for one in all_:
                done = one.round()
                rounds[one.server.name].append(done)
                say(_line(scenario, number, one.server.name, done))
            limits.append(bare.cpu_us(rounds["bridge"][-1].events_per_write))
    outcomes = {server: Outcome(opened[server], _median(done), done) for server, done in rounds.items()}
    return Compared(scenario, outcomes, limits)


def _warm_up(all_: Iterable[Contestant], bare: Limit) -> None:
    for one in all_:
        done = one.round()
        if one.server.name == "bridge":
            bare.cpu_us(done.events_per_write)


def _line(scenario: Scenario, number: int, server: str, done: Round) -> str:
    return (
        f"  {scenario.name} {number + 1}: {server:7} {done.cpu_us:7.3f} µs/delivery, "
        f"{done.per_second:9,.0f}/s, p99 {done.p99_ms:7.1f} ms, {done.delivered / done.expected:.1%}"
    )


def _median(rounds: list[Round]) -> Round:
    return Round(**{f.name: statistics.median(getattr(r, f.name) for r in rounds) for f in fields(Round)})


def environment() -> dict[str, object]:
    """The machine that this was measured on, and how busy it was with other things."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processor": _processor(),
        "nats_server": _nats_server(),
        "cores": os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def _nats_server() -> str:
    done = subprocess.run(  # noqa: S603 - our own
        [find_binary(), "--version"], capture_output=True, check=False, text=True
    )
    return done.stdout.strip().rpartition(" ")[2]


def need_files(connections: int) -> None:
    """Let each process that is started from here have so many; `OSError` where that is not allowed."""
    granted = with_files_for(connections)
    if granted < connections:
        raise OSError(
            f"{connections:,} connections take more open files than are allowed here: raise the limit "
            f"(ulimit -n), or measure {granted:,} at most"
        )


def kept(path: Path) -> dict[str, Any]:
    """The results that a file holds; `OSError` where none can be put into it."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no directory {path.parent} for results")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise PermissionError(f"{path} cannot be written")
    if not path.exists():
        return {}
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        held = None
    if not isinstance(held, dict):
        raise OSError(f"{path} holds something other than results")
    return held


def write(path: Path, all_: Iterable[Compared]) -> None:
    """Put results into a file, beside what it holds of other scenarios."""
    held = kept(path)
    measured = {one.scenario.name: one.to_json() | {"environment": environment()} for one in all_}
    held.setdefault("scenarios", {}).update(measured)
    path.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
