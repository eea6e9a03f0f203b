"""What a delivery costs compressed: once for all, as in the bridge, or for each connection, as in aiohttp."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from bridge.bench.measure import Contestant, Round, contestant
from bridge.bench.scenarios import Scenario
from bridge.bench.servers import bridge, naive

Figures = dict[str, Any]
LOADS: Final = (
    Scenario("100x100", "", 100, 200, 100),
    Scenario("500x100", "", 500, 200, 100, events_naive=100),
    Scenario("1000x100", "", 1000, 200, 100, events_naive=100, grace_seconds=20.0),
)
_ROUNDS: Final = 3
_QUIET: Final = {"heartbeat_seconds": 600, "stale_seconds": 1800}
"""What comes is counted by frames: there are to be none but events."""


def compression(say: Callable[[str], None]) -> Figures:
    """By load: the bridge with compression, the naive bridge with aiohttp's own, the bridge without."""
    return {load.name: compressed(load, say) for load in LOADS}


def compressed(load: Scenario, say: Callable[[str], None]) -> Figures:
    """The same under one load; browsers' figures are the medians of all rounds, ratios those of each."""
    with ExitStack() as stack:
        top = Path(stack.enter_context(TemporaryDirectory(prefix="crew-bridge-bench-")))
        servers = {
            "shared": bridge(_place(top, "shared"), compression=True, **_QUIET),
            "aiohttp": naive(_place(top, "aiohttp"), "compress"),
            "none": bridge(_place(top, "none"), **_QUIET),
        }
        all_: dict[str, Contestant] = {}
        for name, server in servers.items():
            all_[name] = stack.enter_context(contestant(load, stack.enter_context(server)))
            all_[name].open()
            all_[name].round()
        rounds = [{name: one.round() for name, one in all_.items()} for _ in range(_ROUNDS)]
    figures: Figures = {name: _medians([done[name] for done in rounds]) for name in servers}
    figures["ratio"] = median(done["aiohttp"].cpu_us / done["shared"].cpu_us for done in rounds)
    figures["ratio_to_none"] = median(done["shared"].cpu_us / done["none"].cpu_us for done in rounds)
    say(
        f"  {load.name}: shared {figures['shared']['cpu_us']:.2f} µs CPU a delivery, aiohttp's own "
        f"{figures['aiohttp']['cpu_us']:.2f}, none {figures['none']['cpu_us']:.2f}: {figures['ratio']:.1f} "
        f"times cheaper; bytes an event {figures['shared']['bytes_per_event']:.0f}, "
        f"{figures['aiohttp']['bytes_per_event']:.0f}, {figures['none']['bytes_per_event']:.0f}"
    )
    return figures


def _place(top: Path, name: str) -> Path:
    place = top / name
    place.mkdir()
    return place


def _medians(rounds: list[Round]) -> Figures:
    names = ("cpu_us", "bytes_per_event", "p99_ms", "per_second", "delivered", "expected")
    return {name: median(getattr(done, name) for done in rounds) for name in names}
