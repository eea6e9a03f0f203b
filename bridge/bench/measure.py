"""One round: publish to one server, and see what it cost and when it came."""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bridge.bench.receiver import Dial, Received
from bridge.bench.scenarios import Scenario
from bridge.bench.servers import SERVERS, Server, cpu_seconds, rss_bytes, written
from bridge.bench.workers import PublisherProcess, ReceiverProcess, publisher, receivers

RECEIVERS: Final = 2
_SAMPLED: Final = 50
"""Connections whose events are timed, one by one."""
_QUIET_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Opened:
    """What the connections cost the server, before anything was published."""

    connections: int
    seconds: float
    cpu_us: float
    """Per handshake."""
    rss_bytes: float
    """Per connection."""


@dataclass(frozen=True, slots=True)
class Round:
    """What came of one round."""

    delivered: int
    expected: int
    fewest: int
    """Events of the connection that got the fewest, of those that are read."""
    seconds: float
    """From the first publication to the last delivery."""
    cpu_us: float
    """The server's, per event delivered."""
    total_cpu_us: float
    """With the nats-server that feeds it."""
    client_cpu_us: float
    """What it cost to receive it."""
    p50_ms: float
    p99_ms: float
    p999_ms: float
    events_per_write: float
    """Of our bridge; 0 for the others."""
    rss_bytes: int
    closed: int
    bytes_per_event: float = 0.0
    """On the wire."""

    @property
    def per_second(self) -> float:
        """Deliveries."""
        return self.delivered / self.seconds


class Contestant:
    """A server with its connections and its publisher, at work on one scenario."""

    def __init__(
        self, scenario: Scenario, server: Server, browsers: list[ReceiverProcess], crew: PublisherProcess
    ) -> None:
        self._scenario = scenario
        self._browsers = browsers
        self._crew = crew
        self._readers: list[int] = []
        self.server = server

    def open(self) -> Opened:
        """Make all connections."""
        scenario, server = self._scenario, self.server
        rss, cpu = rss_bytes(server.pid), cpu_seconds(server.pid)
        dials = [self._dial(n) for n in range(scenario.connections)]
        ways = len(self._browsers)
        shares = [dials[n::ways] for n in range(ways)]
        self._readers = [
            sum(map(scenario.is_reader, range(n, scenario.connections, ways))) for n in range(ways)
        ]
        for browser, share in zip(self._browsers, shares, strict=True):
            browser.begin_connect(server.address, share, max(1, scenario.connections // _SAMPLED))
        seconds = max(browser.result() for browser in self._browsers)
        count = scenario.connections
        spent = (cpu_seconds(server.pid) - cpu) * 1e6
        return Opened(count, seconds, spent / count, (rss_bytes(server.pid) - rss) / count)

    def _dial(self, number: int) -> Dial:
        scenario = self._scenario
        options = scenario.options.replace("{n}", str(number))
        stalled = number < scenario.stalled
        dial = self.server.dial(scenario.watched(number), scenario.event_type, options, is_stalled=stalled)
        return replace(dial, is_deflated=self.server.is_deflated)

    def round(self) -> Round:
        """Publish once, and wait until it came, or for as long as the scenario allows."""
        scenario, server = self._scenario, self.server
        plan = scenario.plan(server.name)
        seconds = plan.events / (plan.rate or plan.events) + scenario.grace_seconds
        expected = [scenario.deliveries(server.name, count) for count in self._readers]
        before = written(server)
        own, fed = cpu_seconds(server.pid), self._feeder_seconds()
        for browser, events in zip(self._browsers, expected, strict=True):
            browser.begin_receive(events, seconds)
        published = self._crew.run(plan)
        received = [browser.received() for browser in self._browsers]
        own, fed = cpu_seconds(server.pid) - own, self._feeder_seconds() - fed
        took = (max(r.last_us for r in received) - published.first_us) / 1e6
        done = _summary(received, sum(expected), took, own, fed, _per_write(before, written(server)))
        done = replace(done, rss_bytes=rss_bytes(server.pid))
        self._let_rest_come(expected, received)
        return done

    def _feeder_seconds(self) -> float:
        return cpu_seconds(self.server.feeder_pid) if self.server.feeder_pid else 0.0

    def _let_rest_come(self, expected: list[int], received: list[Received]) -> None:
        """What is late must not be counted in the next round."""
        late = [e - r.events for e, r in zip(expected, received, strict=True)]
        if not any(events > 0 for events in late):
            return
        for browser, events in zip(self._browsers, late, strict=True):
            browser.begin_receive(events, _QUIET_SECONDS)
        for browser in self._browsers:
            browser.received()


def _per_write(before: tuple[int, int], after: tuple[int, int]) -> float:
    writes, events = after[0] - before[0], after[1] - before[1]
    return events / writes if writes else 0.0


def _summary(
    received: list[Received], expected: int, seconds: float, own: float, fed: float, per_write: float = 0.0
) -> Round:
    events = sum(r.events for r in received)
    cuts = _percentiles([value for r in received for value in r.latencies_us])
    per_event = 1e6 / max(events, 1)
    return Round(
        delivered=events,
        expected=expected,
        fewest=min(r.fewest for r in received),
        seconds=seconds,
        cpu_us=own * per_event,
        total_cpu_us=(own + fed) * per_event,
        client_cpu_us=sum(r.cpu_seconds for r in received) * per_event,
        p50_ms=cuts[0],
        p99_ms=cuts[1],
        p999_ms=cuts[2],
        events_per_write=per_write,
        rss_bytes=0,
        closed=sum(r.closed for r in received),
        bytes_per_event=sum(r.bytes for r in received) / max(events, 1),
    )


def _percentiles(latencies_us: list[int]) -> tuple[float, float, float]:
    """The 50th, 99th and 99.9th, in milliseconds."""
    if len(latencies_us) < 2:
        return (0.0, 0.0, 0.0)
    cuts = statistics.quantiles(latencies_us, n=1000, method="inclusive")
    return cuts[499] / 1e3, cuts[989] / 1e3, cuts[998] / 1e3


@contextmanager
def contestants(scenario: Scenario, directory: Path, *, niceness: int = 0) -> Iterator[list[Contestant]]:
    """One for each server of the scenario, all there at the same time; ``niceness`` is that of browsers."""
    with ExitStack() as stack:
        made = []
        for name in scenario.servers:
            place = directory / name
            place.mkdir()
            server = stack.enter_context(SERVERS[name](place))
            made.append(stack.enter_context(contestant(scenario, server, niceness=niceness)))
        yield made


@contextmanager
def contestant(scenario: Scenario, server: Server, *, niceness: int = 0) -> Iterator[Contestant]:
    """A server that is there, with browsers and a crew of its own."""
    with (
        receivers(RECEIVERS, niceness) as browsers,
        publisher(server.nats_url, is_stream=server.is_stream) as crew,
    ):
        yield Contestant(scenario, server, browsers, crew)
