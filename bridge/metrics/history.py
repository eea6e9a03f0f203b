"""What clients needed of the stream's past, and what that cost."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from bridge.metrics import labels
from bridge.metrics.rows import counter, counters, gauge
from bridge.metrics.sources import Sources


def history(sources: Sources) -> Iterator[Metric]:
    """Reads of the stream beyond the ring."""
    archive = sources.archive
    shared = archive.shared + sources.hub.counters.shared_requests
    answers = {"read": archive.reads, "shared": shared}
    yield counters(
        "history_requests", "Requests for the past, by what they cost", labels.HISTORY_COST, answers
    )
    yield counter("history_bytes", "Bytes of messages read from the past", archive.bytes)
    yield counter("history_failures", "Reads of the past that failed and were tried again", archive.failures)
    lost = sources.nats_history.disconnects
    yield counter("history_disconnects", "Connections to NATS lost by which the past is read", lost)
    yield gauge("history_in_flight", "Reads of the past under way", archive.in_flight)
    yield gauge("history_queued", "Requests for the past whose turn has not come", archive.queued)
