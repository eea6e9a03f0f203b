"""Messages: what a bridge says besides events reads back as what it was."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.codec import parse_server_message
from contracts.errors import ContractError
from contracts.events import WebSocketEvent
from contracts.filters import EventFilter
from contracts.messages import (
    Error,
    Filtered,
    Gap,
    GapReason,
    Listed,
    Message,
    Pong,
    Recovery,
    RecoveryReason,
    Subscribed,
    Unsubscribed,
)
from contracts.types import EventPriority
from tests.contracts.strategies import events, json_values, law, text

marks = st.none() | st.integers() | text
names = st.lists(text, max_size=3)
numbers = st.integers(0)
filters = st.builds(
    EventFilter,
    types=st.none() | st.just(frozenset({"task.*"})),
    min_priority=st.none() | st.sampled_from(EventPriority),
)
recoveries = st.builds(
    Recovery,
    recovered=st.booleans(),
    reason=st.sampled_from(get_args(RecoveryReason)),
    from_=numbers,
    to=numbers,
    count=numbers,
)
messages = st.one_of(
    st.builds(Subscribed, id=marks, subscriptions=names, recovery=st.none() | recoveries),
    st.builds(Unsubscribed, id=marks, subscriptions=names),
    st.builds(Filtered, id=marks, filter=filters),
    st.builds(Listed, id=marks, subscriptions=names, filter=filters),
    st.builds(Pong, id=marks, epoch=text, head=numbers, cursor=numbers),
    st.builds(Error, id=marks, code=text, message=text, field=st.none() | text),
    st.builds(Gap, from_=numbers, to=numbers, reason=st.sampled_from(get_args(GapReason))),
)


@law
@given(messages)
def test_a_client_reads_the_message_that_the_bridge_wrote(message: Message) -> None:
    assert parse_server_message(message.to_json()) == message
    assert parse_server_message(message.to_json().encode()) == message


@law
@given(messages)
def test_a_message_has_a_type_and_no_event_type_and_no_absent_fields(message: Message) -> None:
    written = json.loads(message.to_json())

    assert written["type"] == message.type
    assert "event_type" not in written
    assert None not in written.values()


def test_a_gap_says_from_where_to_where_and_why() -> None:
    assert Gap(from_=3, to=7, reason="retention").to_json() == (
        '{"type":"gap","from":3,"to":7,"reason":"retention"}'
    )


def test_an_answer_carries_the_mark_of_the_command() -> None:
    answer = Subscribed(
        id=7,
        subscriptions=["global"],
        recovery=Recovery(recovered=True, reason="replayed", from_=4, to=9, count=2),
    )

    assert json.loads(answer.to_json()) == {
        "type": "subscribed",
        "id": 7,
        "subscriptions": ["global"],
        "recovery": {"recovered": True, "reason": "replayed", "from": 4, "to": 9, "count": 2},
    }


@law
@given(events(), st.integers(1))
def test_a_client_reads_an_event_with_its_place_in_the_log(event: WebSocketEvent, seq: int) -> None:
    sent = event.model_copy(update={"seq": seq})

    assert parse_server_message(sent.to_json()) == sent


@pytest.mark.parametrize("text", ["", "{", b"\xff", "[" * 200_000, '"\ud800"', '{"event_type"'])
def test_what_is_not_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ContractError) as refused:
        parse_server_message(text)

    assert (refused.value.field, refused.value.reason) == ("", "not valid JSON")


@pytest.mark.parametrize("text", ["[]", '["event_type"]', "5", "null", '"event_type"', "{}"])
def test_what_is_neither_an_event_nor_a_message_is_refused(text: str) -> None:
    with pytest.raises(ContractError):
        parse_server_message(text)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"type": "sesame"}, "type"),
        ({"type": "gap", "from": 1, "to": 2, "reason": "sesame"}, "gap.reason"),
        ({"type": "pong", "epoch": "e", "head": "sesame", "cursor": 1}, "pong.head"),
        ({"event_type": "sesame"}, "event_type"),
        ({"event_type": "task.failed", "data": {"error": ["sesame"]}}, "data.error"),
    ],
)
def test_a_bad_message_is_refused_by_its_field_and_not_quoted(message: dict[str, object], field: str) -> None:
    with pytest.raises(ContractError) as refused:
        parse_server_message(json.dumps(message))

    assert refused.value.field == field
    assert "sesame" not in str(refused.value)


@law
@given(st.binary(max_size=50) | json_values.map(lambda value: json.dumps(value).encode()))
def test_nothing_that_a_server_sends_raises_anything_else(sent: bytes) -> None:
    with pytest.raises(ContractError):
        parse_server_message(sent)
