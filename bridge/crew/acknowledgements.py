"""What NATS answered to a publish, and what becomes of the message."""

import asyncio
import json
from collections.abc import Sequence
from typing import NamedTuple

from nats.aio.msg import Msg
from nats.errors import Error
from nats.js.api import Header
from nats.js.errors import APIError, NoStreamResponseError

from bridge.crew.message import Message
from contracts.publishing import NO_RESPONDERS, Outcome, Reason, outcome

Ack = asyncio.Future[Reason | None]
"""Of a message that was sent: None when it is stored, or why it never will be."""


class UnknownAnswerError(Error):
    """NATS answered with an error that is not in our table: it may be the event's fault, or may pass."""


class PassedOver(NamedTuple):
    """A message that the stream will never take, and why."""

    message: Message
    reason: Reason


def takes(pattern: str, subject: str) -> bool:
    """Whether a stream's subject, with NATS' wildcards, is for this one."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">" and len(given) >= len(wanted):
        given = [*given[: len(wanted) - 1], ">"]
    return len(wanted) == len(given) and all(w in ("*", g) for w, g in zip(wanted, given, strict=True))


def read(answer: Msg) -> tuple[Reason | None, int | None]:
    """Where the stream has the message, or why it never will. Else raises one of `FAULTS`."""
    if (answer.headers or {}).get(Header.STATUS.value) == str(NO_RESPONDERS):
        raise NoStreamResponseError
    said = json.loads(answer.data)
    error = said.get("error")
    if error is None:
        return None, said.get("seq")
    what, reason = outcome(error["err_code"], error.get("description", ""))
    if what is Outcome.PASS_OVER:
        return reason, None
    raise APIError(code=error["code"], err_code=error["err_code"], description=error.get("description", ""))


def outcome_of(error: BaseException | None) -> Outcome | None:
    """What to do after an answer that is an error; None after any other fault, or none."""
    if isinstance(error, NoStreamResponseError):
        return Outcome.ASK
    if isinstance(error, APIError):
        return outcome(error.err_code or 0, error.description or "")[0]
    return None


def judged(message: Message, ack: Ack, foreign: Sequence[Message], *, patient: bool) -> PassedOver | None:
    """Whether a message is passed over; what has to be tried again raises one of `FAULTS`."""
    if message in foreign:
        return PassedOver(message, Reason.NO_SUBJECT)
    if (error := ack.exception()) is not None:
        if outcome_of(error) is not Outcome.TRY_FOR_A_WHILE:
            raise error
        if patient:
            raise UnknownAnswerError(str(error))
        return PassedOver(message, Reason.REFUSED)
    reason = ack.result()
    return None if reason is None else PassedOver(message, reason)


def look_at(ack: Ack) -> None:
    """So that asyncio does not report one that nobody waits for any more."""
    if not ack.cancelled():
        ack.exception()
