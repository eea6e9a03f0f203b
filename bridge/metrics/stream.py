"""The log in memory, the feed that fills it, and the connection to NATS."""

from collections.abc import Iterator
from time import time

from prometheus_client.core import Metric

from bridge.core.log import Log
from bridge.metrics import labels
from bridge.metrics.rows import counter, counters, gauge
from bridge.metrics.sources import Sources


def stream(sources: Sources) -> Iterator[Metric]:
    """What comes from JetStream."""
    yield from _log(sources.hub.log)
    feed, nats = sources.feed, sources.nats
    yield gauge("feed_caught_up", "1 if the feed has reached the head of the stream", feed.is_caught_up)
    yield gauge("feed_lag", "Messages that the stream holds beyond the feed", feed.pending)
    yield gauge("feed_lag_seconds", "How far the feed is behind the head of the stream", feed.lag_seconds)
    yield counters("feed_resets", "Times that the feed began again", labels.RESET, feed.resets)
    yield gauge("nats_connected", "1 if there is a connection to NATS", nats.is_connected)
    yield counter("nats_disconnects", "Connections to NATS lost", nats.disconnects)
    yield counter("nats_errors", "Errors that the NATS client told of", nats.errors)
    publisher = sources.publisher
    yield counter("published", "Events that the bridge itself has put into the stream", publisher.published)
    yield counter("publish_failures", "Events of its own that the stream did not take", publisher.failures)
    yield gauge("peers", "Other bridges of the stream heard of a moment ago", len(sources.cluster.peers))
    yield counter("peer_errors", "Questions of other bridges that were not answered", sources.cluster.errors)
    yield counter("nats_reconnects", "Connections to NATS regained", nats.reconnects)


def _log(log: Log) -> Iterator[Metric]:
    yield gauge("log_head", "Newest sequence number of the log", log.head)
    yield gauge("log_floor", "Sequence number before which the ring holds nothing", log.floor)
    yield gauge("log_events", "Events in the ring", len(log))
    yield gauge("log_bytes", "Bytes in the ring", log.bytes)
    yield gauge("log_limit_bytes", "Bytes that the ring may hold", log.max_bytes)
    age = max(time() - log.oldest_ns / 1e9, 0) if log.oldest_ns else 0
    yield gauge("log_age_seconds", "Age of the oldest event in the ring", age)
