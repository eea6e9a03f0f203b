"""Events in and out, how they were joined, how old they were, and what clients said."""

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric

from bridge.metrics import labels
from bridge.metrics.rows import counter, counters, histogram
from bridge.metrics.sources import Sources

MICRO: Final = 1e-6


def traffic(sources: Sources) -> Iterator[Metric]:
    """What passes through the bridge."""
    count = sources.hub.counters
    yield counters("events_in", "Events taken from the stream", labels.FAMILY, count.events_in)
    yield counters(
        "events_rejected", "Messages that are no events, by bad field", labels.BAD_FIELD, count.rejected
    )
    yield counters("events_delivered", "Events written to sockets", labels.FAMILY, count.delivered)
    yield counter("delivered_bytes", "Bytes of events written to sockets", count.bytes_out)
    yield counter("writes", "Writes that delivered events", count.writes)
    yield counter("messages_sent", "Events and control messages written", count.messages_out)
    yield counters("commands", "Commands carried out", labels.ACTION, count.commands)
    yield counters("errors", "Commands refused", labels.ERROR, count.errors)
    yield histogram("flush_events", "Events joined in one flush of a group", count.flush_events)
    yield histogram(
        "event_age_seconds",
        "From the stream's storing to the last socket of a group: the oldest event of a flush",
        count.event_age,
        unit=MICRO,
    )
    yield from _holds(sources)


def _holds(sources: Sources) -> Iterator[Metric]:
    """What everything else waits for."""
    for name, text, values in (
        ("loop_delay_seconds", "How late the event loop's timers come", sources.loop_delay),
        ("flush_turn_seconds", "How long the event loop was held by one turn of a flush", sources.turns),
        ("gc_pause_seconds", "How long Python collected garbage, and did nothing else", sources.pauses),
    ):
        yield histogram(name, text, values, unit=MICRO)
