"""What crews do: executions, tasks, failures, tokens."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.expressions import WINDOW, metric, per_minute, quantile
from grafana.panels import Row, board, lines, number


def _of(*types: str) -> str:
    return f'type=~"{"|".join(types)}"'


def _last_hour(*matchers: str) -> str:
    return f"sum(max by (type) (increase({metric('crew_events_total', *matchers)}[1h])))"


_NOW: Final[Row] = (
    "Last hour",
    (
        number(
            "Executions ended",
            _last_hour(_of("execution.completed", "execution.failed")),
            unit="short",
            says="Runs of crews and flows that ended, well or badly.",
        ),
        number(
            "Executions failed",
            _last_hour(_of("execution.failed")),
            unit="short",
            bad=1,
            says="Runs that ended badly.",
        ),
        number(
            "Tasks completed", _last_hour(_of("task.completed")), unit="short", says="Tasks that ended well."
        ),
        number(
            "Tasks failed",
            _last_hour(_of("task.failed")),
            unit="short",
            bad=1,
            says="Tasks that ended badly.",
        ),
        number(
            "Tokens",
            f"sum(max by (kind) (increase({metric('crew_tokens_total')}[1h])))",
            unit="short",
            says="That models reported, read and written.",
        ),
        number(
            "Tools failed",
            _last_hour(_of("tool.failed")),
            unit="short",
            bad=1,
            says="Calls of tools that raised, or said that they failed.",
        ),
    ),
)
_WORK: Final[Row] = (
    "Work",
    (
        lines(
            "Executions",
            (
                per_minute("crew_events_total", 'type=~"execution.(started|completed|failed)"', by="type"),
                "{{type}}",
            ),
            unit="cpm",
            says="Runs a minute. Started without ended: they hang, or their worker is gone.",
        ),
        lines(
            "Tasks",
            (
                per_minute("crew_events_total", 'type=~"task.(assigned|completed|failed)"', by="type"),
                "{{type}}",
            ),
            unit="cpm",
            says="Tasks a minute.",
        ),
        lines(
            "Failures",
            (per_minute("crew_events_total", 'type=~".*failed"', by="type"), "{{type}}"),
            unit="cpm",
            stacked=True,
            says="Whatever failed, by what it was.",
        ),
        lines(
            "Events",
            (per_minute("crew_events_total", by="type"), "{{type}}"),
            unit="cpm",
            stacked=True,
            says="Everything that crews report.",
        ),
    ),
)
_MODELS: Final[Row] = (
    "Models and tools",
    (
        lines(
            "Tokens",
            (per_minute("crew_tokens_total", by="kind"), "{{kind}}"),
            unit="cpm",
            stacked=True,
            says="A minute. input: read by models. output: written. unknown: only a total was reported.",
        ),
        lines(
            "Model calls",
            (per_minute("crew_events_total", 'type=~"llm.call_.*"', by="type"), "{{type}}"),
            unit="cpm",
            says="A minute.",
        ),
        lines(
            "Tool calls",
            (per_minute("crew_events_total", 'type=~"tool.*"', by="type"), "{{type}}"),
            unit="cpm",
            says="A minute.",
        ),
        lines(
            "Durations",
            (quantile(0.5, "crew_duration_seconds", by="work"), "p50 {{work}}"),
            (quantile(0.95, "crew_duration_seconds", by="work"), "p95 {{work}}"),
            unit="s",
            says="How long what ended had taken.",
        ),
    ),
)
_WORKERS: Final[Row] = (
    "Workers",
    (
        lines(
            "Workers",
            (f"max({metric('workers')})", "there"),
            (f"60 * max(rate({metric('workers_lost_total')}{WINDOW}))", "lost a minute"),
            unit="short",
            says="Processes with the tap, heard in the last 90 seconds. Lost: silent without a goodbye.",
        ),
        lines(
            "Messages of workers",
            (f"60 * max(rate({metric('worker_published_total')}{WINDOW}))", "published a minute"),
            (f"60 * max(rate({metric('crew_events_lost_total')}{WINDOW}))", "lost a minute"),
            (f"max({metric('worker_waiting')})", "waiting"),
            unit="short",
            says="As workers say every half minute. Waiting: in memory or on disk, until NATS takes them.",
        ),
    ),
)


def crews() -> Dashboard:
    """For who runs the crews."""
    return board("crews", "crews", "What crews do, as far as they report it.", _NOW, _WORK, _MODELS, _WORKERS)
