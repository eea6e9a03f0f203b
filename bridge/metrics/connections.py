"""Who is connected, where their cursors are, and what became of them."""

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.core import Metric

from bridge.core.hub import Hub
from bridge.core.socket import CloseCode
from bridge.metrics import labels
from bridge.metrics.rows import counter, counters, gauge, gauges
from bridge.metrics.sources import Sources

_CODES = frozenset(CloseCode) | frozenset(range(1000, 1016))


def connections(sources: Sources) -> Iterator[Metric]:
    """Clients."""
    hub, count = sources.hub, sources.hub.counters
    yield gauges("connections", "Connections open", labels.ENDPOINT, hub.endpoints())
    yield gauges("cursors", "Connections, by where they are in the log", labels.STATE, _cursors(hub))
    yield gauge("groups", "Different views of live connections", len(hub.router))
    yield counters("connections_opened", "Connections opened", labels.ENDPOINT, count.opened)
    yield counters("connections_refused", "Clients not let in", labels.REFUSAL, count.refused)
    yield counters(
        "sockets_silent", "TCP connections ended because no request came", labels.SILENCE, count.silent
    )
    yield counters("connections_closed", "Connections closed", labels.CLOSE_CODE, _known(count.closed))
    yield counters(
        "recoveries", "Cursors that clients came with, by outcome", labels.RECOVERY, count.recoveries
    )
    yield counters("gaps", "Gaps announced", labels.GAP, count.gaps)
    yield counter("fell_behind", "Times that a full socket left the head", count.fell_behind)
    yield counter("stalled", "Connections ended because they took nothing", count.stalled)
    yield counters("admin_calls", "Requests of operators", labels.OPERATION, count.admin_calls)
    yield counters(
        "admin_failures", "Requests of operators refused", labels.OPERATOR_ERROR, count.admin_failures
    )
    yield counter("stale", "Connections ended because nothing was heard", count.stale)


def _cursors(hub: Hub) -> dict[str, float]:
    """``live`` at the head, ``catching_up`` in memory, ``looking_back`` in the stream, or ``waiting``."""
    live, reading, looking = hub.router.live, hub.readers, hub.waiting
    waiting = max(len(hub.connections) - live - reading - looking, 0)
    return {"live": live, "catching_up": reading, "looking_back": looking, "waiting": waiting}


def _known(closed: Mapping[int, int]) -> Counter[str]:
    """A client may close with any code: those that nobody defined are one."""
    codes: Counter[str] = Counter()
    for code, count in closed.items():
        codes[str(int(code)) if code in _CODES else "other"] += count
    return codes
