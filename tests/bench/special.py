"""What has a form of its own: memory of idle connections, stalled ones, a storm of returns, ingest."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any, Final

from bridge.bench.publisher import Plan
from bridge.bench.run import Say
from bridge.bench.scenarios import ALL, BOTH, Scenario
from bridge.bench.servers import bridge, cpu_seconds, rss_bytes
from bridge.bench.workers import publisher, receivers
from tests.bench.compression import compression
from tests.bench.elsewhere import elsewhere
from tests.bench.holds import at_work, hold
from tests.bench.scaling import workers

Figures = dict[str, Any]
_IDLE_SECONDS: Final = 10.0
_STORM_SECONDS: Final = 60.0


def idle(say: Say) -> Figures:
    """10,000 connections on which nothing comes: memory, handshakes, and what it costs to keep them."""
    figures: Figures = {}
    for server in ALL:
        with at_work(Scenario("idle", "", 10_000, 1, servers=(server,))) as (one,):
            opened = one.open()
            spent = cpu_seconds(one.server.pid)
            sleep(_IDLE_SECONDS)
            spent = (cpu_seconds(one.server.pid) - spent) / _IDLE_SECONDS
        figures[server] = asdict(opened) | {
            "idle_cpu": spent,
            "handshakes_per_second": 10_000 / opened.seconds,
        }
        say(
            f"  {server}: {opened.rss_bytes / 1024:.1f} KiB a connection, {opened.cpu_us:.0f} µs CPU a "
            f"handshake, {10_000 / opened.seconds:,.0f} handshakes/s, {spent:.1%} of a core to keep them"
        )
    return figures


def stalled(say: Say) -> Figures:
    """What 900 connections get, and what memory it takes, while 100 never read; 1,000 events/s for 10 s."""
    figures: Figures = {}
    for server in BOTH:
        scenario = Scenario("stalled", "", 1000, 10_000, 1000, stalled=100, servers=(server,))
        with at_work(scenario) as (one,):
            one.open()
            before = rss_bytes(one.server.pid)
            done = one.round()
        grown = (done.rss_bytes - before) / 2**20
        share = done.delivered / done.expected
        figures[server] = {
            "delivered": share,
            "p99_ms": done.p99_ms,
            "grown_mib": grown,
            "cpu_us": done.cpu_us,
        }
        say(f"  {server}: {share:.1%} delivered, p99 {done.p99_ms:.0f} ms, memory grew by {grown:.0f} MiB")
    return figures


def storm(say: Say, connections: int = 5000, events: int = 200) -> Figures:
    """So many browsers come back at once, each with so many events to catch up on."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="crew-bridge-bench-")))
        server = stack.enter_context(bridge(directory))
        browsers = stack.enter_context(receivers(2))
        crew = stack.enter_context(publisher(server.nats_url, is_stream=True))
        crew.run(Plan(events))
        sleep(1.0)
        dials = [server.dial(0, "task.completed", "?since=0") for _ in range(connections)]
        spent = cpu_seconds(server.pid)
        for n, browser in enumerate(browsers):
            share = dials[n::2]
            browser.begin_storm(server.address, share, len(share) * events, _STORM_SECONDS)
        received = [browser.received() for browser in browsers]
        spent = cpu_seconds(server.pid) - spent
    figures = {
        "cpu_us_per_connection": spent * 1e6 / connections,
        "delivered": sum(r.events for r in received) / (connections * events),
        "seconds": max(r.seconds for r in received),
    }
    say(
        f"  {figures['delivered']:.1%} delivered within {figures['seconds']:.1f} s, "
        f"{figures['cpu_us_per_connection']:.0f} µs CPU a connection"
    )
    return figures


def ingest(say: Say) -> Figures:
    """Validated events a second on one core, into the log with one viewer."""
    with at_work(Scenario("ingest", "", 1, 50_000, servers=("bridge",))) as (one,):
        one.open()
        one.round()
        rounds = [one.round() for _ in range(3)]
    figures = {
        "cpu_us_per_event": median(done.cpu_us for done in rounds),
        "per_cpu_second": 1e6 / median(done.cpu_us for done in rounds),
        "per_second": median(done.per_second for done in rounds),
    }
    say(
        f"  {figures['per_cpu_second']:,.0f} events a CPU second ({figures['cpu_us_per_event']:.1f} µs), "
        f"{figures['per_second']:,.0f}/s as it came"
    )
    return figures


MEASURES: Final[dict[str, Callable[[Say], Figures]]] = {
    "idle": idle,
    "stalled": stalled,
    "storm": storm,
    "elsewhere": elsewhere,
    "hold": hold,
    "compression": compression,
    "workers": workers,
    "ingest": ingest,
}
"""By name."""
