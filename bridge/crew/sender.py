"""The sender: one batch after the other to the stream, and what its answers mean for the next."""

import logging
from time import monotonic
from typing import Final

from bridge.crew.accounts import Accounts
from bridge.crew.acknowledgements import PassedOver, UnknownAnswerError
from bridge.crew.connection import FAULTS
from bridge.crew.doubt import Doubt
from bridge.crew.link import Link, UnclearError
from bridge.crew.losses import LossReport
from bridge.crew.message import Message
from bridge.crew.search import UnfinishedError
from contracts.publishing import TRY_SECONDS, Reason

log = logging.getLogger(__name__)

ACK_SECONDS: Final = 2.0
"""How long a server may take to acknowledge a batch before it counts as gone."""
BATCH: Final = 256


class Sender:
    """Keeps the accounts of what is sent."""

    def __init__(self, accounts: Accounts, report: LossReport) -> None:
        self._accounts = accounts
        self._report = report
        self._one_by_one = 0
        """Messages to send one by one: one of so many was refused, and it was not said which."""
        self._unknown_since: float | None = None
        """When an answer first came that we do not know, and nothing was taken since."""

    @property
    def batch(self) -> int:
        """How many messages to send at once."""
        return 1 if self._one_by_one else BATCH

    async def send(self, messages: list[Message], link: Link, doubt: Doubt) -> bool:
        """Whether all are in the stream, or never will be; they are the first of the queue of ``doubt``."""
        try:
            over = await link.send_once(
                messages, ACK_SECONDS, doubt, passing_over=True, patient=self._is_patient
            )
        except UnfinishedError:
            return False
        except FAULTS as error:
            log.debug("not sent: %s", error)
            if isinstance(error, UnclearError):
                self._one_by_one = len(messages)
            if isinstance(error, UnknownAnswerError):
                self._unknown_since = self._unknown_since or monotonic()
            return False
        self._account(messages, over)
        return True

    @property
    def _is_patient(self) -> bool:
        return self._unknown_since is None or monotonic() - self._unknown_since < TRY_SECONDS

    def _account(self, messages: list[Message], over: list[PassedOver]) -> None:
        """Count what is stored, and what never will be: of that a line is logged for each type and reason."""
        self._one_by_one = max(self._one_by_one - len(messages), 0)
        if len(over) < len(messages):
            self._unknown_since = None
        lost = [each for each in over if not self._report.is_report(each.message)]
        denied = sum(each.reason is Reason.DENIED for each in lost)
        self._accounts.denied += denied
        self._accounts.refused += len(lost) - denied
        self._accounts.published += len(messages) - len(over)
        for each in lost:
            self._report.passed_over(each)
