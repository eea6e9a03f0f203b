"""What is measured: how many watch what, and how much is published."""

from dataclasses import dataclass
from typing import Final

from bridge.bench.publisher import Plan

ALL: Final = ("bridge", "nats", "naive")
BOTH: Final = ("bridge", "nats")
_QUIET: Final = 50_000
"""The number of the first execution in which nothing happens."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the table. ``events`` are published in one round, a multiple of ``executions``."""

    name: str
    title: str
    connections: int
    events: int
    rate: float | None = None
    """Events a second in all; None: as fast as the server takes them."""
    executions: int = 1
    """Connection ``n`` watches execution ``n`` modulo this, and so does event ``n`` concern it."""
    event_type: str = "task.completed"
    options: str = ""
    """How connections to the bridge differ: a query, or ``#`` and a command; ``{n}`` is their number."""
    stalled: int = 0
    """So many of the connections never read."""
    elsewhere: int = 0
    """So many of them watch executions in which nothing happens."""
    servers: tuple[str, ...] = ALL
    events_naive: int | None = None
    """The naive bridge gets fewer, where it would take minutes."""
    grace_seconds: float = 10.0
    """How long after the last event what is due may come."""

    def plan(self, server: str) -> Plan:
        """What is published to ``server`` in one round."""
        events = self.events_naive if server == "naive" and self.events_naive else self.events
        return Plan(events, self.rate, self.executions, self.event_type)

    def deliveries(self, server: str, readers: int) -> int:
        """How many events ``readers`` of the connections are to get in one round."""
        return self.plan(server).events // self.executions * readers

    def watched(self, number: int) -> int:
        """The execution that connection ``number`` watches."""
        return _QUIET + number if number < self.elsewhere else number % self.executions

    def is_reader(self, number: int) -> bool:
        """Whether the connection gets what is published."""
        return number >= self.elsewhere and number >= self.stalled


BURST: Final = Scenario(
    "burst", "1,000 connections, one subject, a burst of 1,000", 1000, 1000, events_naive=100
)
STEADY: Final = Scenario("1000x100", "1,000 connections x 100 events/s", 1000, 300, 100)
OWN: Final = Scenario(
    "own-flat-out",
    "1,000 connections, each its own execution, flat out",
    1000,
    20_000,
    executions=1000,
    events_naive=5_000,
)
QUICK: Final = (
    BURST,
    STEADY,
    Scenario("1000x20", "1,000 connections x 20 events/s", 1000, 60, 20),
    OWN,
)
"""The quick comparison."""
