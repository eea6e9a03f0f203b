"""What becomes of an event, by what NATS answers when it is published."""

import pytest

from contracts.publishing import Outcome, Reason, lethal, outcome, sent_size


@pytest.mark.parametrize(
    ("code", "description", "expected"),
    [
        (10054, "message size exceeds maximum allowed", (Outcome.PASS_OVER, Reason.TOO_LARGE)),
        (10097, "header size exceeds maximum allowed of 64k", (Outcome.PASS_OVER, Reason.TOO_LARGE)),
        (10077, "message too large", (Outcome.PASS_OVER, Reason.TOO_LARGE)),
        (10077, "maximum messages per subject exceeded", (Outcome.PASS_OVER, Reason.REFUSED)),
        (10077, "maximum bytes exceeded", (Outcome.WAIT, Reason.REFUSED)),
        (10077, "no space left on device", (Outcome.WAIT, Reason.REFUSED)),
        (10060, "expected stream does not match", (Outcome.ASK, Reason.NO_SUBJECT)),
        (503, "", (Outcome.ASK, Reason.NO_SUBJECT)),
        (10047, "insufficient storage resources available", (Outcome.WAIT, Reason.REFUSED)),
        (10109, "invalid operation on sealed stream", (Outcome.WAIT, Reason.REFUSED)),
        (19999, "of a server that is newer than this table", (Outcome.TRY_FOR_A_WHILE, Reason.REFUSED)),
    ],
)
def test_each_answer_has_its_place(code: int, description: str, expected: tuple[Outcome, Reason]) -> None:
    assert outcome(code, description) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nats: 'Maximum Payload Violation'", Reason.TOO_LARGE),
        ("maximum control line exceeded", Reason.TOO_LARGE),
        ("Invalid Publish Subject", Reason.REFUSED),
        ("slow consumer", None),
    ],
)
def test_a_server_may_end_a_connection_because_of_one_message(text: str, reason: Reason | None) -> None:
    assert lethal(text) is reason


def test_headers_count_against_the_limit_as_they_are_sent() -> None:
    sent = b"NATS/1.0\r\nNats-Msg-Id: \xc3\xa4b\r\n\r\n" + b"x" * 10

    assert sent_size(b"x" * 10, {"Nats-Msg-Id": "äb"}) == len(sent)
