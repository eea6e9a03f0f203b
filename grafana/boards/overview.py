"""Is all well? One look, for whoever was called."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.expressions import metric, of_bridges, quantile, rate, seen, total
from grafana.panels import Row, board, lines, number

_NOW: Final[Row] = (
    "Now",
    (
        number(
            "Bridges that answer",
            f"count({metric('info')}) or vector(0)",
            unit="short",
            says="Bridges whose numbers Prometheus has now.",
        ),
        number(
            "Connections", f"sum({metric('connections')})", unit="short", says="Browsers that are connected."
        ),
        number(
            "Event age, p99",
            f"max({quantile(0.99, 'event_age_seconds')})",
            unit="s",
            bad=1,
            says="From the stream to the last browser of a group, on the slowest bridge.",
        ),
        number(
            "Feed lag",
            f"max({metric('feed_lag_seconds')})",
            unit="s",
            bad=15,
            says="How far the slowest bridge is behind the stream.",
        ),
        number(
            "Gaps, last hour",
            f"sum(increase({metric('gaps_total')}[1h]))",
            unit="short",
            bad=1,
            says="Announcements to clients that events are gone for good.",
        ),
        number(
            "Alerts",
            'count(ALERTS{alertstate="firing", alertname=~"CrewBridge.*"}) or vector(0)',
            unit="short",
            bad=1,
            says="Alerts that fire now. Each says what to do.",
        ),
    ),
)
_TRAFFIC: Final[Row] = (
    "Traffic",
    (
        lines(
            "Connections",
            (total("connections", by="endpoint"), "{{endpoint}}"),
            unit="short",
            stacked=True,
            says="Browsers by the route they came in on.",
        ),
        lines(
            "Events in",
            (seen("events_in_total", by="family"), "{{family}}"),
            unit="eps",
            stacked=True,
            says="What the stream brings. Every bridge reads all of it.",
        ),
        lines(
            "Events delivered",
            (rate("events_delivered_total"), "{{instance}}"),
            unit="eps",
            stacked=True,
            says="Writes of one event to one browser, all browsers together.",
        ),
        lines(
            "Event age",
            (quantile(0.5, "event_age_seconds"), "p50 {{instance}}"),
            (quantile(0.99, "event_age_seconds"), "p99 {{instance}}"),
            unit="s",
            says="How old an event is when it has reached the last browser of its group.",
        ),
    ),
)
_PROCESS: Final[Row] = (
    "Processes",
    (
        lines(
            "CPU",
            (rate("process_cpu_seconds_total"), "{{instance}}"),
            unit="percentunit",
            says="Of one core: a bridge uses one. Near 100 % start another bridge.",
        ),
        lines(
            "Memory",
            (of_bridges("process_resident_memory_bytes"), "{{instance}}"),
            unit="bytes",
            says="The ring takes BRIDGE_RING_BYTES at most; the rest are connections and their buffers.",
        ),
        lines(
            "Event loop delay, p99",
            (quantile(0.99, "loop_delay_seconds"), "{{instance}}"),
            unit="s",
            says="Everything a bridge does waits this long. Above 100 ms it is overloaded.",
        ),
        lines(
            "Refused",
            (rate("errors_total"), "commands, {{instance}}"),
            (rate("connections_refused_total"), "connections, {{instance}}"),
            (rate("events_rejected_total"), "events, {{instance}}"),
            unit="eps",
            says="What clients and publishers got wrong, and who was not let in.",
        ),
    ),
)


def overview() -> Dashboard:
    """The dashboard that Grafana opens with."""
    return board("overview", "overview", "Is all well?", _NOW, _TRAFFIC, _PROCESS)
