"""What keeps the bridge's loop from everything else: turns of a flush, and collections of garbage.

Both are timed one by one in the bridge, not sampled; the histograms that it shows to operators say it.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bridge.bench.measure import Contestant, contestants
from bridge.bench.scenarios import Scenario
from bridge.bench.servers import Server, metrics

Figures = dict[str, Any]
_HISTOGRAMS: Final = {
    "turns": "flush_turn_seconds",
    "collections": "gc_pause_seconds",
    "late_timers": "loop_delay_seconds",
}
_TOO_LONG: Final = 0.01
_LOADS: Final = (
    Scenario("1000x100", "", 1000, 500, 100, servers=("bridge",)),
    Scenario("10000x2", "", 10_000, 10, 2, servers=("bridge",)),
    Scenario("10000x10", "", 10_000, 50, 10, servers=("bridge",)),
    Scenario("10000x100", "", 10_000, 300, 100, servers=("bridge",), grace_seconds=20.0),
    Scenario("filling", "", 1, 150_000, servers=("bridge",), grace_seconds=20.0),
)
"""The last one fills the ring: the only time that there is more to collect from than before."""
_NICENESS: Final = 15
"""Of browsers: else they take the bridge's core in the middle of a turn, where cores are short."""


@contextmanager
def at_work(scenario: Scenario, *, niceness: int = 0) -> Iterator[list[Contestant]]:
    """The servers of a scenario, each with what it needs."""
    with (
        TemporaryDirectory(prefix="crew-bridge-bench-") as name,
        contestants(scenario, Path(name), niceness=niceness) as all_,
    ):
        yield all_


def hold(say: Callable[[str], None]) -> Figures:
    """How long the loop was held, by load; beside it, the latencies in which that would show."""
    return {scenario.name: held(scenario, say) for scenario in _LOADS}


def held(scenario: Scenario, say: Callable[[str], None]) -> Figures:
    """The same under one load: how many turns and collections, how long, how many over 10 ms."""
    with at_work(scenario, niceness=_NICENESS) as (one,):
        one.open()
        before = _counts(one.server)
        done = one.round()
        after = _counts(one.server)
    times = {name: _summary(after[name], before[name]) for name in _HISTOGRAMS}
    turns, collections = times["turns"], times["collections"]
    say(
        f"  {scenario.name}: {turns['count']} turns of {turns['mean_ms']:.1f} ms, {turns['too_long']} of "
        f"them over 10 ms, none over {turns['longest_ms']:g}; {collections['count']} collections of "
        f"{collections['mean_ms']:.1f} ms; p99 {done.p99_ms:.1f} ms, p99.9 {done.p999_ms:.1f} ms"
    )
    return times | {"p50_ms": done.p50_ms, "p99_ms": done.p99_ms, "p999_ms": done.p999_ms}


def _counts(server: Server) -> dict[str, dict[str, float]]:
    """By histogram: how many values by upper bound in seconds, and their ``sum``."""
    text = metrics(server)
    return {
        name: {
            bound or "sum": float(value)
            for bound, value in re.findall(
                rf'^crew_bridge_{metric}(?:_bucket{{le="([^"]+)"}}|_sum) (\S+)$', text, re.MULTILINE
            )
        }
        for name, metric in _HISTOGRAMS.items()
    }


def _summary(after: dict[str, float], before: dict[str, float]) -> Figures:
    grown = {bound: after[bound] - before[bound] for bound in after}
    total = grown.pop("sum")
    count = grown["+Inf"]
    longest = next(float(bound) for bound, within in grown.items() if within == count) if count else 0.0
    return {
        "count": int(count),
        "mean_ms": total / count * 1e3 if count else 0.0,
        "longest_ms": longest * 1e3,
        "too_long": int(count - next(n for bound, n in grown.items() if float(bound) == _TOO_LONG)),
    }
