"""How fast events reach browsers, and what that costs."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.expressions import WINDOW, mean, metric, quantile, rate
from grafana.panels import Row, board, lines, spread

_AGE: Final[Row] = (
    "How old events are when they arrive",
    (
        spread(
            "Event age",
            f"sum by (le) (increase({metric('event_age_seconds_bucket')}{WINDOW}))",
            unit="s",
            says="From the stream's storing to the last browser of a group: the oldest event of every flush. "
            "Replays are not in it. The clocks of NATS and bridges have to agree.",
        ),
        lines(
            "Event age by bridge",
            (quantile(0.5, "event_age_seconds"), "p50 {{instance}}"),
            (quantile(0.95, "event_age_seconds"), "p95 {{instance}}"),
            (quantile(0.99, "event_age_seconds"), "p99 {{instance}}"),
            unit="s",
            says="If one bridge is slower than the others, look at its CPU and its clock.",
        ),
    ),
)
_FLUSH: Final[Row] = (
    "How events are joined",
    (
        lines(
            "Events a flush",
            (mean("flush_events"), "mean {{instance}}"),
            (quantile(0.99, "flush_events"), "p99 {{instance}}"),
            unit="short",
            says="Events that are joined before they are written. It grows with the load: that is what keeps "
            "the cost of a delivery down.",
        ),
        lines(
            "Fan-out",
            (f"{rate('writes_total')} / {rate('flush_events_count')}", "{{instance}}"),
            unit="short",
            says="Sockets that one flush was written to, on average.",
        ),
        lines(
            "Writes",
            (rate("writes_total"), "{{instance}}"),
            unit="wps",
            says="Writes to sockets; each may carry many events.",
        ),
        lines(
            "Bytes delivered",
            (rate("delivered_bytes_total"), "{{instance}}"),
            unit="Bps",
            says="Bytes of events written to sockets.",
        ),
    ),
)
_COST: Final[Row] = (
    "What it costs",
    (
        lines(
            "CPU for each delivered event",
            (f"{rate('process_cpu_seconds_total')} / {rate('events_delivered_total')}", "{{instance}}"),
            unit="s",
            says="All CPU of the bridge by all events it delivered. Means something under load only.",
        ),
        spread(
            "Event loop delay",
            f"sum by (le) (increase({metric('loop_delay_seconds_bucket')}{WINDOW}))",
            unit="s",
            says="How late timers come. Much above 10 ms something keeps the loop busy.",
        ),
        lines(
            "Sockets that were full",
            (rate("fell_behind_total"), "{{instance}}"),
            unit="cps",
            says="Slow clients that left the head of the log, to read on at their pace. They lose nothing.",
        ),
        lines(
            "Event loop delay by bridge",
            (quantile(0.5, "loop_delay_seconds"), "p50 {{instance}}"),
            (quantile(0.99, "loop_delay_seconds"), "p99 {{instance}}"),
            unit="s",
            says="If the median rises, too, the bridge is overloaded: start another.",
        ),
    ),
)


def delivery() -> Dashboard:
    """For who asks why events are late."""
    return board(
        "delivery",
        "delivery and latency",
        "How fast events reach browsers, and at what cost.",
        _AGE,
        _FLUSH,
        _COST,
    )
