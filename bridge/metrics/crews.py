"""What crews do, as far as it passes through the bridge; every bridge on a stream says the same."""

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric

from bridge.metrics import labels
from bridge.metrics.rows import counter, counters, gauge, histograms
from bridge.metrics.sources import Sources
from bridge.workers import Workers

_MILLI: Final = 1e-3


def crews(sources: Sources) -> Iterator[Metric]:
    """The work."""
    census = sources.census
    yield counters("crew_events", "Events of crews since the feed caught up", labels.TYPE, census.events)
    yield counters("crew_tokens", "Tokens that model calls reported", labels.TOKEN_KIND, census.tokens)
    yield counter("crew_events_lost", "Events that workers reported as lost for good", census.lost)
    yield histograms(
        "crew_duration_seconds", "How long work took that ended", labels.WORK, census.durations, unit=_MILLI
    )
    census.workers.forget_silent(census.clock())
    yield from _workers(census.workers)


def _workers(workers: Workers) -> Iterator[Metric]:
    yield gauge("workers", "Workers whose pulse was heard in the last 90 seconds", len(workers))
    yield counter("workers_lost", "Workers that fell silent without a goodbye", workers.lost)
    yield counter("worker_published", "Messages that workers have put into the stream", workers.published)
    yield gauge("worker_waiting", "Messages that wait in workers, in memory or on disk", workers.waiting)
