"""What comes from NATS, and what of it is in memory."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.expressions import WINDOW, metric, rate, seen
from grafana.panels import Row, board, lines, rates

_FEED: Final[Row] = (
    "Feed",
    (
        lines(
            "Connected, and at the head of the stream",
            (metric("nats_connected"), "connected {{instance}}"),
            (metric("feed_caught_up"), "caught up {{instance}}"),
            unit="bool_yes_no",
            says="Both 1, or clients hear nothing new.",
        ),
        lines(
            "Lag in seconds",
            (metric("feed_lag_seconds"), "{{instance}}"),
            unit="s",
            says="How far what was read last is behind the head of the stream.",
        ),
        lines(
            "Lag in messages",
            (metric("feed_lag"), "{{instance}}"),
            unit="short",
            says="Messages that the stream held behind the one read last.",
        ),
        lines(
            "Head of the log",
            (f"rate({metric('log_head')}{WINDOW})", "{{instance}}"),
            unit="eps",
            says="Sequence numbers a second. Bridges on one stream move together.",
        ),
    ),
)
_FAULTS: Final[Row] = (
    "Faults",
    (
        lines(
            "Feed resets",
            (rate("feed_resets_total", by="instance, reason"), "{{reason}} {{instance}}"),
            unit="cps",
            says="Times that the feed began again behind the last message: nothing is lost. overflow means "
            "that the bridge was too slow for the stream.",
        ),
        lines(
            "Connection to NATS",
            (rate("nats_disconnects_total"), "lost {{instance}}"),
            (rate("nats_reconnects_total"), "regained {{instance}}"),
            (rate("nats_errors_total"), "errors {{instance}}"),
            unit="cps",
            says="If lost and regained alternate, look at the server's log and the network.",
        ),
        lines(
            "Messages that are no events",
            (seen("events_rejected_total", by="field"), "{{field}}"),
            unit="eps",
            stacked=True,
            says="By the first bad field. A publisher has an error, or another version.",
        ),
        lines(
            "Events in",
            (seen("events_in_total", by="family"), "{{family}}"),
            unit="eps",
            stacked=True,
            says="What the stream brings.",
        ),
    ),
)
_RING: Final[Row] = (
    "The log in memory",
    (
        lines(
            "Bytes",
            (metric("log_bytes"), "{{instance}}"),
            (metric("log_limit_bytes"), "limit {{instance}}"),
            unit="bytes",
            says="Recent events, from which clients resume without asking NATS.",
        ),
        lines(
            "Age of the oldest event",
            (metric("log_age_seconds"), "{{instance}}"),
            unit="s",
            says="Who was away for less is served from memory. Too short? Raise BRIDGE_RING_BYTES.",
        ),
        lines(
            "Published by bridges",
            (rate("published_total"), "stored {{instance}}"),
            (rate("publish_failures_total"), "failed {{instance}}"),
            unit="eps",
            says="Health checks, broadcasts and audit events. Only failures: the stream takes nothing.",
        ),
        lines(
            "Garbage collections",
            (
                rate("python_gc_collections_total", by="instance, generation"),
                "generation {{generation}} {{instance}}",
            ),
            unit="cps",
            says="Those of generation 2 stop everything for a moment.",
        ),
    ),
)
_HISTORY: Final[Row] = (
    "Reading the stream's past",
    (
        rates(
            "Requests",
            "history_requests_total",
            "by",
            unit="reqps",
            says="Clients that were away for longer than memory reaches. shared: one read served several.",
        ),
        lines(
            "Under way, and queued",
            (metric("history_in_flight"), "under way {{instance}}"),
            (metric("history_queued"), "queued {{instance}}"),
            unit="short",
            says="BRIDGE_HISTORY_READS at once. A queue that grows: many come back at once, or NATS is slow.",
        ),
        lines(
            "Bytes",
            (rate("history_bytes_total"), "{{instance}}"),
            unit="Bps",
            says="Read from the stream for clients that were away.",
        ),
        lines(
            "Failures",
            (rate("history_failures_total"), "{{instance}}"),
            unit="cps",
            says="Reads that failed and were tried again: look at NATS.",
        ),
    ),
)


def feed() -> Dashboard:
    """For who asks whether anything arrives at all."""
    return board(
        "feed",
        "NATS and feed",
        "What comes from the stream, and what is kept of it.",
        _FEED,
        _FAULTS,
        _RING,
        _HISTORY,
    )
