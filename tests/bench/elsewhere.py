"""What an event costs for its one viewer, beside thousands of groups that do not want it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median
from time import perf_counter_ns, sleep
from typing import Any, Final

from bridge.bench.measure import Contestant
from bridge.bench.publisher import execution
from bridge.bench.scenarios import Scenario
from bridge.bench.servers import cpu_seconds
from bridge.bench.wire import event, subject
from bridge.core.connection import Connection
from bridge.core.entry import Entry
from bridge.core.hub import Hub
from bridge.core.log import Log
from contracts import subscriptions
from contracts.codec import StoredMessage, decode
from tests.bench.holds import at_work

Figures = dict[str, Any]
_OTHERS: Final = (0, 1000, 5000)
_ROUNDS: Final = 5
_EVENTS: Final = 15_000
_IDLE_SECONDS: Final = 3.0
_CORE_EVENTS: Final = 4000


def elsewhere(say: Callable[[str], None]) -> Figures:
    """Microseconds for an event, by how many other groups there are: in the core alone, and in all.

    In all: flat out, round after round, without what so many connections cost when nothing happens.
    """
    figures: Figures = {"core_us": _in_the_core(), "cpu_us": _in_all()}
    for others in map(str, _OTHERS):
        cost = figures["cpu_us"][others]
        say(
            f"  {others} other groups: {figures['core_us'][others]:.2f} µs in the core, "
            f"{cost['median']:.1f} µs CPU in all ({cost['least']:.1f} at least); "
            f"{cost['idle_share']:.1%} of a core to keep the connections"
        )
    return figures


def _in_all() -> Figures:
    with ExitStack() as stack:
        bridges = [stack.enter_context(at_work(_scenario(others)))[0] for others in _OTHERS]
        for one in bridges:
            one.open()
            one.round()
        idle = [_idle_share(one) for one in bridges]
        rounds = [[one.round() for one in bridges] for _ in range(_ROUNDS)]
    costs = {
        others: [done[n].cpu_us - idle[n] * done[n].seconds / _EVENTS * 1e6 for done in rounds]
        for n, others in enumerate(_OTHERS)
    }
    return {
        str(others): {"median": median(cost), "least": min(cost), "idle_share": idle[n]}
        for n, (others, cost) in enumerate(costs.items())
    }


def _scenario(others: int) -> Scenario:
    return Scenario("elsewhere", "", others + 1, _EVENTS, elsewhere=others, servers=("bridge",))


def _idle_share(one: Contestant) -> float:
    """Of a core, when nothing is published: heartbeats, and what browsers say."""
    spent = cpu_seconds(one.server.pid)
    sleep(_IDLE_SECONDS)
    return (cpu_seconds(one.server.pid) - spent) / _IDLE_SECONDS


class _Socket:
    """Takes everything."""

    def write(self, data: bytes) -> None:
        """Nothing."""

    def buffered(self) -> int:
        """Nothing."""
        return 0

    def close(self, code: int, reason: str) -> None:
        """Nothing."""


def _in_the_core() -> Figures:
    """An event into the log, to its group, and out of it."""
    hubs = [_hub(others) for others in _OTHERS]
    times: list[list[float]] = [[] for _ in hubs]
    for number in range(_ROUNDS * 2):
        entries = list(_entries(number * _CORE_EVENTS))
        for hub, took in zip(hubs, times, strict=True):
            began = perf_counter_ns()
            for entry in entries:
                hub.publish(entry)
                for _ in hub.flush():
                    pass
            took.append((perf_counter_ns() - began) / _CORE_EVENTS / 1000)
    return {str(others): median(took) for others, took in zip(_OTHERS, times, strict=True)}


def _hub(others: int) -> Hub:
    hub = Hub(Log(2**24), buffer_limit=2**20, wake=_nothing, full=_nothing, fetch=_nothing, now=lambda: 0)
    hub.reset("e0", 0)
    for number in range(others + 1):
        connection = Connection(f"c{number}", "executions", _Socket(), 0.0)
        watched = subscriptions.execution(execution(number))
        connection.subscriptions = {watched.name: watched}
        hub.open(connection)
    for _ in hub.flush():
        pass
    return hub


def _nothing(*_: object) -> None:
    """Nobody has to be told."""


def _entries(after: int) -> Iterator[Entry]:
    to = execution(0)
    where = subject("task.completed", to)
    for seq in range(after + 1, after + 1 + _CORE_EVENTS):
        message = StoredMessage(where, event("task.completed", seq, to, "lead", 0), seq, 1)
        yield Entry.of_event(decode(message, "epoch"), seq)
