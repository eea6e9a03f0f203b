"""What crews do, counted as it passes: events by type, tokens of models, how long things took."""

from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Final

from bridge.core.histogram import Histogram
from bridge.workers import Workers
from contracts.events import WebSocketEvent
from contracts.payloads import state
from contracts.payloads.activity import LlmCallCompleted
from contracts.types import EventType

_KNOWN: Final = frozenset(map(str, EventType))
_TIMED: Final[dict[str, str]] = {
    EventType.EXECUTION_COMPLETED: "execution",
    EventType.EXECUTION_FAILED: "execution",
    EventType.TASK_COMPLETED: "task",
    EventType.TASK_FAILED: "task",
    EventType.LLM_CALL_COMPLETED: "llm_call",
    EventType.LLM_CALL_FAILED: "llm_call",
    EventType.TOOL_FINISHED: "tool",
    EventType.TOOL_FAILED: "tool",
}
"""Types whose ``duration_ms`` is counted, and what it is of."""
_OF_WORKERS: Final = frozenset({EventType.SYSTEM_HEALTH_CHECK, EventType.SYSTEM_ERROR})
TAP: Final = "crew-tap"
"""The component that workers' own events name."""
DURATION_MILLISECONDS: Final = (
    *(10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000),
    *(60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000),
)


class Census:
    """Totals over all crews since the bridge has caught up with the stream.

    Every bridge on a stream counts the same: take the largest of them, not the sum.
    ``clock``: in seconds, by which workers fall silent.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self.events: Counter[str] = Counter()
        """By type; ``other`` are the types that are not built in."""
        self.tokens: Counter[str] = Counter()
        """That models reported: ``input``, ``output``, and ``unknown`` for what only a total tells."""
        self.durations = {what: Histogram(DURATION_MILLISECONDS) for what in _TIMED.values()}
        """Milliseconds that executions, tasks, model calls and tools took."""

        self.lost = 0
        """Events that workers reported as lost for good."""
        self.workers = Workers()

    def count(self, event: WebSocketEvent) -> None:
        """One event of the stream."""
        kind = event.event_type
        self.events[kind if kind in _KNOWN else "other"] += 1
        what = _TIMED.get(kind)
        if what is None:
            if kind in _OF_WORKERS:
                self._count_worker(event)
            return
        duration: float | None = getattr(event.data, "duration_ms", None)
        if duration is not None:
            self.durations[what].observe(int(duration))
        if isinstance(event.data, LlmCallCompleted):
            self._count_tokens(event.data)

    def _count_worker(self, event: WebSocketEvent) -> None:
        """A worker's pulse, or its report of what was lost."""
        data = event.data
        if isinstance(data, state.SystemHealthCheck) and data.component == TAP:
            self.workers.heard(data, self.clock())
        elif isinstance(data, state.SystemError) and data.component == TAP:
            self.lost += data.lost or 0

    def _count_tokens(self, call: LlmCallCompleted) -> None:
        asked, answered = call.input_tokens or 0, call.output_tokens or 0
        self.tokens["input"] += asked
        self.tokens["output"] += answered
        self.tokens["unknown"] += max((call.total_tokens or 0) - asked - answered, 0)
