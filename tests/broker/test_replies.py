"""What JetStream says around a message is understood, or refused."""

import pytest

from bridge.broker.replies import Control, Delivered, parse_control, parse_reply

DELIVERED = Delivered(stream_seq=812, consumer_seq=17, stored_ns=1_700_000_000_123_456_789, pending=3)


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.CREW_EVENTS.feed.1.812.17.1700000000123456789.3",
        "$JS.ACK._.ACCOUNT.CREW_EVENTS.feed.1.812.17.1700000000123456789.3",
        "$JS.ACK.hub.ACCOUNT.CREW_EVENTS.feed.1.812.17.1700000000123456789.3.random",
    ],
    ids=["as servers say it", "with an account", "with a domain and a token to come"],
)
def test_a_reply_subject_tells_where_its_message_is(reply: str) -> None:
    assert parse_reply(reply) == DELIVERED


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "_INBOX.abc.1",
        "$JS.ACK.CREW_EVENTS.feed.1.812.17.1700000000123456789",
        "$JS.FC.CREW_EVENTS.feed.1.812.17.1700000000123456789.3",
        "$JS.ACK.CREW_EVENTS.feed.1.812.seventeen.1700000000123456789.3",
        "$JS.ACK.CREW_EVENTS.feed.1.812.17.1700000000123456789.3.4",
    ],
)
def test_another_reply_subject_is_refused(reply: str) -> None:
    with pytest.raises(ValueError, match=r"reply subject|invalid literal"):
        parse_reply(reply)


def test_an_idle_heartbeat_says_what_was_sent_last_and_wants_no_answer() -> None:
    headers = {"Status": "100", "Nats-Last-Consumer": "17", "Nats-Last-Stream": "812"}

    assert parse_control(headers, "") == Control(last_consumer_seq=17, last_stream_seq=812, answer_to=None)


def test_a_heartbeat_of_a_stalled_consumer_wants_an_answer() -> None:
    headers = {"Status": "100", "Nats-Last-Consumer": "17", "Nats-Consumer-Stalled": "$JS.FC.CREW_EVENTS.x.1"}

    assert parse_control(headers, "") == Control(17, None, "$JS.FC.CREW_EVENTS.x.1")


def test_a_flow_control_request_wants_an_answer() -> None:
    request = {"Status": "100", "Description": "FlowControl Request"}

    assert parse_control(request, "$JS.FC.CREW_EVENTS.x.1") == Control(None, None, "$JS.FC.CREW_EVENTS.x.1")


@pytest.mark.parametrize("headers", [None, {}, {"Nats-Msg-Id": "e1"}, {"Status": "503"}, {"Status": "100"}])
def test_what_the_stream_holds_is_an_event_whatever_its_headers(headers: dict[str, str] | None) -> None:
    assert parse_control(headers, "$JS.ACK.CREW_EVENTS.feed.1.812.17.1700000000123456789.3") is None
