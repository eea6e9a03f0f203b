"""The loss report: an event that says how many never arrived, so that a hole in a sequence has its reason."""

import logging
from collections import deque
from collections.abc import Mapping
from time import monotonic
from typing import Final

from bridge.crew.acknowledgements import PassedOver
from bridge.crew.message import Message
from contracts import create_system_event

log = logging.getLogger(__name__)

COMPONENT: Final = "crew-tap"
REPORT_SECONDS: Final = 1.0
"""How often losses are reported."""
_MOST_KINDS: Final = 20
_MOST_REPORTS: Final = 64


class LossReport:
    """What was reported, and when. Losses are totals by reason."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._reported = 0
        self._when = 0.0
        self._reports: deque[str] = deque(maxlen=_MOST_REPORTS)
        self._passed_over: dict[tuple[str, str], str] = {}

    def passed_over(self, over: PassedOver) -> None:
        """Take note of a message that NATS will never take; said and logged once for each type and reason."""
        kind = ".".join(over.message.subject.split(".")[:2])
        if (kind, over.reason) in self._passed_over or len(self._passed_over) >= _MOST_KINDS:
            return
        self._passed_over[kind, over.reason] = f"{over.message.subject}: {over.reason}"
        log.warning("an event is lost, NATS does not take it: %s: %s", over.message.subject, over.reason)

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
                **({"passed_over": sorted(self._passed_over.values())} if self._passed_over else {}),
            )
        )
        self._reports.append(report.event_id)
        return report

    def is_report(self, message: Message) -> bool:
        """Whether it is one of the last reports, which themselves are no loss to report."""
        return message.event_id in self._reports
