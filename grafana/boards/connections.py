"""Who is connected, where their cursors are, and how connections end."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.expressions import metric, of_bridges, rate, total
from grafana.panels import Row, board, lines, rates

_OPEN: Final[Row] = (
    "Open",
    (
        lines(
            "Connections by bridge",
            (total("connections"), "{{instance}}"),
            unit="short",
            stacked=True,
            says="One bridge has most of them? The others were restarted: they fill up as clients reconnect.",
        ),
        lines(
            "Cursors",
            (total("cursors", by="state"), "{{state}}"),
            unit="short",
            stacked=True,
            says="live: at the head. catching_up: reading on in memory. looking_back: reading in the stream. "
            "waiting: their sockets are full. Many that do not come back to live mean slow clients.",
        ),
        lines(
            "Views",
            (metric("groups"), "{{instance}}"),
            unit="short",
            says="Different views. Clients with an equal view share one buffer.",
        ),
        lines(
            "File descriptors",
            (of_bridges("process_open_fds"), "open {{instance}}"),
            (of_bridges("process_max_fds"), "limit {{instance}}"),
            unit="short",
            says="One for each browser. At the limit nobody can connect any more.",
        ),
    ),
)
_ENDS: Final[Row] = (
    "Coming and going",
    (
        rates(
            "Opened",
            "connections_opened_total",
            "endpoint",
            unit="cps",
            says="New connections. A wave is what a restart, or a cut network, looks like.",
        ),
        rates(
            "Closed",
            "connections_closed_total",
            "code",
            unit="cps",
            says="1000 and 1001: the page was left. 1006: the network. 4000: a bridge stopped. 4001: a new "
            "stream. 4002: silent too long. 4003: an operator. 4004: took nothing. 4500: the client is at "
            "fault. 4501: it connected again, here or to another bridge.",
        ),
        rates(
            "Not let in",
            "connections_refused_total",
            "code",
            unit="cps",
            says="too_fast and too_many_connections are told to come again; origin_refused needs "
            "BRIDGE_ALLOWED_ORIGINS, host_refused BRIDGE_PUBLIC_URL or BRIDGE_ALLOWED_HOSTS.",
        ),
        lines(
            "Cut off",
            (rate("stale_total"), "silent, {{instance}}"),
            (rate("stalled_total"), "took nothing, {{instance}}"),
            (rate("sockets_silent_total"), "asked for nothing, {{instance}}"),
            unit="cps",
            says="Clients that said nothing for BRIDGE_STALE_SECONDS, or whose sockets stayed full; and who "
            "connected and sent no request: a scanner, a balancer's probe, an attack.",
        ),
    ),
)
_SAID: Final[Row] = (
    "Resuming and commands",
    (
        rates(
            "Resumes",
            "recoveries_total",
            "reason",
            unit="cps",
            says="Cursors that clients came back with. too_old and stream_reset lost events, and were told.",
        ),
        rates(
            "Gaps",
            "gaps_total",
            "reason",
            unit="cps",
            says="Clients that were told that events are gone. Raise the limits of the stream.",
        ),
        rates(
            "Commands",
            "commands_total",
            "action",
            unit="cps",
            says="What clients asked for.",
        ),
        rates(
            "Commands refused",
            "errors_total",
            "code",
            unit="cps",
            says="What clients got wrong; the connection's log line names them.",
        ),
        rates(
            "Requests of operators",
            "admin_calls_total",
            "operation",
            unit="reqps",
            says="What operators, or their scripts, ask. Each change is in the audit log.",
        ),
        rates(
            "Requests of operators refused",
            "admin_failures_total",
            "code",
            unit="reqps",
            says="unknown_client: gone meanwhile. stream_unavailable: NATS does not answer.",
        ),
    ),
)


def connections() -> Dashboard:
    """For who asks what became of a client."""
    return board(
        "connections", "connections and cursors", "Who is connected, and how far behind.", _OPEN, _ENDS, _SAID
    )
