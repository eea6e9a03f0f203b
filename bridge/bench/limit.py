"""What the kernel alone takes for the same bytes to as many sockets: nothing in user space beats it."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bridge.bench.measure import RECEIVERS
from bridge.bench.scenarios import Scenario
from bridge.bench.servers import Server, cpu_seconds, floor
from bridge.bench.wire import EVENT_BYTES
from bridge.bench.workers import ReceiverProcess, receivers

_WIRE_BYTES: Final = EVENT_BYTES + 16
"""An event with its ``seq`` and the frame's header."""
_SECONDS: Final = 1.0
_BYTES: Final = 200_000_000
"""No loop sends more than that: what is flat out for the bridge is so for the loop."""
_GRACE_SECONDS: Final = 60.0


class Limit:
    """Sockets of a scenario, and a loop that sends to them."""

    def __init__(
        self, scenario: Scenario, server: Server, loop: "subprocess.Popen[bytes]", all_: list[ReceiverProcess]
    ) -> None:
        self._scenario = scenario
        self._server = server
        self._loop = loop
        self._browsers = all_

    def open(self) -> None:
        """Make all connections."""
        dials = [self._server.dial(0, "") for _ in range(self._scenario.connections)]
        for n, browser in enumerate(self._browsers):
            browser.begin_connect(self._server.address, dials[n :: len(self._browsers)], len(dials))
        for browser in self._browsers:
            browser.result()

    def cpu_us(self, events_per_write: float) -> float:
        """Microseconds for one event on one socket, when so many are joined in one ``send``."""
        scenario = self._scenario
        size = max(_WIRE_BYTES, round(events_per_write * _WIRE_BYTES))
        every = events_per_write * scenario.executions / scenario.rate if scenario.rate else 0.0
        most = max(2, _BYTES // (size * scenario.connections))
        times = min(most, max(2, round(_SECONDS / every))) if every else min(most, 100)
        spent = cpu_seconds(self._server.pid)
        for n, browser in enumerate(self._browsers):
            count = len(range(n, scenario.connections, len(self._browsers)))
            browser.begin_receive(count * times, times * every + _GRACE_SECONDS)
        self._order({"size": size, "times": times, "every": every})
        writes = sum(browser.received().events for browser in self._browsers)
        spent = cpu_seconds(self._server.pid) - spent
        if writes < times * scenario.connections:
            raise TimeoutError(f"of what the bare loop sent {writes} writes came in {_GRACE_SECONDS:.0f} s")
        return spent * 1e6 / (writes * max(events_per_write, 1.0))

    def _order(self, order: dict[str, float]) -> None:
        stdin = self._loop.stdin
        if stdin is None:
            raise ChildProcessError("the loop has no standard input")
        stdin.write(json.dumps(order).encode() + b"\n")
        stdin.flush()


@contextmanager
def limit(scenario: Scenario, directory: Path) -> Iterator[Limit]:
    """As many sockets as the scenario has connections, in as many groups as it has executions."""
    with (
        floor(directory, scenario.connections, scenario.executions) as (server, loop),
        receivers(RECEIVERS) as all_,
    ):
        made = Limit(scenario, server, loop, all_)
        made.open()
        yield made
