"""The loss report: an event that says how many never arrived, so that a hole in a sequence has its reason."""

from collections.abc import Mapping
from time import monotonic
from typing import Final

from bridge.crew.message import Message
from contracts import create_system_event

COMPONENT: Final = "crew-tap"
REPORT_SECONDS: Final = 1.0
"""How often losses are reported."""


class LossReport:
    """What was reported, and when. Losses are totals by reason."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._reported = 0
        self._when = 0.0
        self._last = ""

    def is_due(self, losses: Mapping[str, int], *, ending: bool) -> bool:
        """Whether there is something to say, and it is time; at the end it always is."""
        is_time = ending or monotonic() - self._when > REPORT_SECONDS
        return is_time and sum(losses.values()) > self._reported

    def message(self, losses: Mapping[str, int]) -> Message:
        """The report; what it says is said."""
        lost = sum(losses.values()) - self._reported
        self._reported, self._when = sum(losses.values()), monotonic()
        report = Message.of(
            create_system_event(
                COMPONENT,
                "error",
                data=losses,
                error=f"{lost} events were lost",
                lost=lost,
                metadata={"worker": self._worker},
            )
        )
        self._last = report.event_id
        return report

    def is_last(self, message: Message) -> bool:
        """Whether it is the last report, which itself is no loss to report."""
        return message.event_id == self._last
