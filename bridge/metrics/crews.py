"""What crews do, as far as it passes through the bridge; every bridge on a stream says the same."""

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric

from bridge.metrics import labels
from bridge.metrics.rows import counters, histograms
from bridge.metrics.sources import Sources

_MILLI: Final = 1e-3


def crews(sources: Sources) -> Iterator[Metric]:
    """The work."""
    census = sources.census
    yield counters("crew_events", "Events of crews since the feed caught up", labels.TYPE, census.events)
    yield counters("crew_tokens", "Tokens that model calls reported", labels.TOKEN_KIND, census.tokens)
    yield histograms(
        "crew_duration_seconds", "How long work took that ended", labels.WORK, census.durations, unit=_MILLI
    )
