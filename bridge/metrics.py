"""The numbers for Prometheus, read from plain counters when they are asked for."""

from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bridge.broker.connection import ConnectionEvents
from bridge.broker.feed import Feed
from bridge.core.hub import Hub
from bridge.core.socket import CloseCode

_CODES = frozenset(CloseCode) | frozenset(range(1000, 1016))


def registry_of(hub: Hub, feed: Feed, nats: ConnectionEvents) -> CollectorRegistry:
    """Everything that ``/metrics`` shows."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(BridgeCollector(hub, feed, nats))
    return registry


class BridgeCollector(Collector):
    """All metrics of a bridge, named ``crew_bridge_*``. Labels have values from closed lists only."""

    def __init__(self, hub: Hub, feed: Feed, nats: ConnectionEvents) -> None:
        self._hub = hub
        self._feed = feed
        self._nats = nats

    def collect(self) -> Iterator[Metric]:
        """Prometheus asks."""
        yield _gauge("info", "Constant 1, labelled with the version", 1, version=version("crew-bridge"))
        yield from self._traffic()
        yield from self._connections()
        yield from self._log()
        yield from self._shore_of_nats()

    def _traffic(self) -> Iterator[Metric]:
        counters = self._hub.counters
        yield _counters("events_in", "Events taken from the stream", "family", counters.events_in)
        yield _counters(
            "events_rejected", "Messages that are no events, by bad field", "field", counters.rejected
        )
        yield _counters("events_delivered", "Events written to sockets", "family", counters.delivered)
        yield _counter("delivered_bytes", "Bytes of events written to sockets", counters.bytes_out)
        yield _counter("writes", "Writes that delivered events", counters.writes)
        yield _counter("messages_sent", "Events and control messages written", counters.messages_out)
        yield _counters("commands", "Commands carried out", "action", counters.commands)
        yield _counters("errors", "Commands refused", "code", counters.errors)

    def _connections(self) -> Iterator[Metric]:
        counters, router = self._hub.counters, self._hub.router
        by_endpoint = GaugeMetricFamily("crew_bridge_connections", "Connections open", labels=["endpoint"])
        for endpoint, count in self._hub.endpoints().items():
            by_endpoint.add_metric([endpoint], count)
        yield by_endpoint
        yield _gauge("connections_live", "Connections at the head of the log", router.live)
        yield _gauge("connections_reading", "Connections that read on in the log", self._hub.readers)
        yield _gauge("groups", "Different views of live connections", len(router))
        yield _counters("connections_opened", "Connections opened", "endpoint", counters.opened)
        yield _counters("connections_refused", "Clients not let in", "code", counters.refused)
        yield _counters("connections_closed", "Connections closed", "code", _known(counters.closed))
        yield _counters(
            "recoveries", "Cursors that clients came with, by outcome", "reason", counters.recoveries
        )
        yield _counters("gaps", "Gaps announced", "reason", counters.gaps)
        yield _counter("fell_behind", "Times that a full socket left the head", counters.fell_behind)
        yield _counter("stale", "Connections ended because nothing was heard", counters.stale)

    def _log(self) -> Iterator[Metric]:
        log = self._hub.log
        yield _gauge("log_head", "Newest sequence number of the log", log.head)
        yield _gauge("log_floor", "Sequence number before which the ring holds nothing", log.floor)
        yield _gauge("log_events", "Events in the ring", len(log))
        yield _gauge("log_bytes", "Bytes in the ring", log.bytes)

    def _shore_of_nats(self) -> Iterator[Metric]:
        yield _gauge(
            "feed_caught_up", "1 if the feed has reached the head of the stream", self._feed.is_caught_up
        )
        yield _gauge("feed_lag", "Messages that the stream holds beyond the feed", self._feed.pending)
        yield _counters("feed_resets", "Times that the feed began again", "reason", self._feed.resets)
        yield _counter("nats_disconnects", "Connections to NATS lost", self._nats.disconnects)
        yield _counter("nats_errors", "Errors that the NATS client told of", self._nats.errors)
        yield _counter("nats_reconnects", "Connections to NATS regained", self._nats.reconnects)


def _known(closed: Mapping[int, int]) -> Counter[str]:
    """A client may close with any code: those that nobody defined are one."""
    codes: Counter[str] = Counter()
    for code, count in closed.items():
        codes[str(int(code)) if code in _CODES else "other"] += count
    return codes


def _gauge(name: str, text: str, value: float, **labels: str) -> Metric:
    family = GaugeMetricFamily(f"crew_bridge_{name}", text, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"crew_bridge_{name}", text, value=value)


def _counters(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"crew_bridge_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
