"""What two workers deliver that one cannot.

Where cores are short, the load and nats-server take what the second worker would need: rates say little then.
What each worker spends says how much it could do on a core of its own: the busiest one bounds them all.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from bridge.bench.measure import Contestant, contestant
from bridge.bench.scenarios import Scenario
from bridge.bench.servers import bridge, cpu_seconds

Figures = dict[str, Any]
LOADS: Final = (
    Scenario("one-subject", "", 4000, 500, grace_seconds=30.0),
    Scenario("own", "", 1000, 20_000, executions=1000, grace_seconds=30.0),
)
"""Flat out. Every worker reads the whole stream: what has one viewer leaves little to share out."""
_ROUNDS: Final = 5


def workers(say: Callable[[str], None]) -> Figures:
    """By load: one worker and two, round after round."""
    return {"cores": os.cpu_count(), **{load.name: scaled(load, say) for load in LOADS}}


def scaled(load: Scenario, say: Callable[[str], None]) -> Figures:
    """The same under one load: deliveries a second as they came, and a CPU second of the busiest worker."""
    with ExitStack() as stack:
        top = Path(stack.enter_context(TemporaryDirectory(prefix="crew-bridge-bench-")))
        crowds = {}
        for count in (1, 2):
            place = top / str(count)
            place.mkdir()
            server = stack.enter_context(bridge(place, "--workers", str(count), operator_port=0))
            crowds[str(count)] = stack.enter_context(contestant(load, server))
        for one in crowds.values():
            one.open()
            one.round()
        rounds = [{count: _round(one) for count, one in crowds.items()} for _ in range(_ROUNDS)]
    figures: Figures = {
        count: {name: median(done[count][name] for done in rounds) for name in rounds[0][count]}
        for count in crowds
    }
    for ratio, figure in (("by_cpu", "per_cpu_second"), ("as_it_came", "per_second")):
        figures[ratio] = median(done["2"][figure] / done["1"][figure] for done in rounds)
    say(
        f"  {load.name}: two workers deliver {figures['by_cpu']:.2f} of one by CPU of the busiest "
        f"({figures['2']['per_cpu_second']:,.0f} and {figures['1']['per_cpu_second']:,.0f} a CPU second), "
        f"{figures['as_it_came']:.2f} as it came on {os.cpu_count()} cores"
    )
    return figures


def _round(one: Contestant) -> Figures:
    pids = _workers(one.server.pid)
    before = [cpu_seconds(pid) for pid in pids]
    done = one.round()
    spent = [cpu_seconds(pid) - first for pid, first in zip(pids, before, strict=True)]
    return {
        "delivered": done.delivered / done.expected,
        "per_second": done.per_second,
        "per_cpu_second": done.delivered / max(spent),
        "cpu_us": sum(spent) * 1e6 / done.delivered,
    }


def _workers(parent: int) -> list[int]:
    """The processes that the parent has started, or the parent alone."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    return [int(pid) for pid in children] or [parent]
