"""From the stream's messages to the log: what is no event is counted and passed over."""

from collections import Counter

import pytest
from structlog.testing import capture_logs

from bridge.core.hub import Hub
from bridge.core.log import Log
from bridge.intake import Intake
from contracts.codec import StoredMessage
from contracts.positions import StreamPosition

NOW = 1_700_000_000_000_000_000


@pytest.fixture
def hub() -> Hub:
    return Hub(
        Log(1_000_000),
        buffer_limit=1_000,
        wake=lambda: None,
        full=lambda _: None,
        fetch=lambda _: None,
        now=lambda: 0,
    )


@pytest.fixture
def intake(hub: Hub) -> Intake:
    intake = Intake(hub, count=lambda _: None)
    intake.begin("5f-0", 10, StreamPosition(12, 5), 7)
    return intake


def stored(payload: bytes, seq: int = 11, subject: str = "task.completed.c1.e1") -> StoredMessage:
    return StoredMessage(subject, payload, seq, NOW)


def test_a_stream_begins_a_log(intake: Intake, hub: Hub) -> None:
    assert (hub.log.created, hub.log.floor, hub.log.head) == ("5f", 10, 10)
    assert (hub.log.end, hub.log.looked_ns) == ((12, 5), 7)


def test_a_stream_that_is_read_on_was_looked_at_again(intake: Intake, hub: Hub) -> None:
    for looked_ns in (9, 8):
        intake.resume(looked_ns)
        assert hub.log.looked_ns == 9


def test_an_event_is_in_the_log_under_its_number(intake: Intake, hub: Hub) -> None:
    intake.message(stored(b'{"data":{}}', seq=14))

    assert (hub.log.head, len(hub.log)) == (14, 1)
    assert hub.counters.events_in == {"task": 1}


@pytest.mark.parametrize(
    ("payload", "subject", "field"),
    [
        (b"{", "task.completed", "json"),
        (b"\xff", "task.completed", "json"),
        (b'{"priority":"urgent"}', "task.completed", "priority"),
        (b'{"data":{"error":7}}', "task.failed", "data"),
        (b'{"colour":"red"}', "task.completed", "unknown_key"),
        (b'{"execution_id":"e2"}', "task.completed.c1.e1", "execution_id"),
        (b"{}", "task.completed.c1", "subject"),
    ],
)
def test_what_is_no_event_is_counted_by_its_field_and_the_log_goes_on(
    intake: Intake, hub: Hub, payload: bytes, subject: str, field: str
) -> None:
    intake.message(stored(payload, 11, subject))
    intake.message(stored(b"{}", 12))

    assert hub.counters.rejected == Counter({field: 1})
    assert (hub.log.head, len(hub.log)) == (12, 1)


def test_who_looks_for_a_refused_event_finds_why_in_one_line(intake: Intake) -> None:
    with capture_logs() as lines:
        intake.message(stored(b'{"data":{"error":7}}', 11, "task.failed"))
        intake.message(stored(b'{"a\\nb%s":1}' % (b"c" * 9_000), 12))

    assert [line["why"][:13] for line in lines] == ["data.error: I", "a\\nbccccccccc"]
    assert max(len(line["why"]) for line in lines) < 300


def test_a_fault_of_our_own_is_counted_and_logged_and_ends_nothing(intake: Intake, hub: Hub) -> None:
    broken = stored(b"{}")._replace(stored_ns=10**30)

    with capture_logs() as lines:
        intake.message(broken)
        intake.message(stored(b"{}", 12))

    assert hub.counters.rejected == Counter({"internal": 1})
    assert [line["log_level"] for line in lines] == ["error"]
    assert hub.log.head == 12


def test_a_gap_is_in_the_log_at_its_end(intake: Intake, hub: Hub) -> None:
    with capture_logs() as lines:
        intake.gap(11, 19, "retention")

    assert hub.log.head == 19
    assert hub.counters.gaps == Counter({"retention": 1})
    assert (lines[0]["first"], lines[0]["last"]) == (11, 19)
