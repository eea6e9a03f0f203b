"""Events: what the envelope promises, and that JSON carries it whole."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.catalog import payload_for, register
from contracts.errors import ContractError
from contracts.events import WebSocketEvent
from contracts.payloads.base import OpenPayload, Payload
from contracts.payloads.work import TaskCompleted
from contracts.types import EventPriority, EventType, default_priority
from tests.contracts.strategies import events, few, law


class Paid(Payload):
    """An invoice was paid; dates and enumerations travel as text."""

    on: date
    as_: EventPriority = EventPriority.LOW
    parts: tuple[int, ...] = ()


register("invoice.paid", Paid)


@pytest.mark.parametrize("event_type", EventType)
@few
@given(st.data())
def test_an_event_of_any_type_survives_json(event_type: EventType, data: st.DataObject) -> None:
    event = data.draw(events(event_type))

    read = WebSocketEvent.from_json(event.to_json())

    assert read == event
    assert type(read.data) is payload_for(event_type)


@law
@given(events())
def test_json_is_the_same_as_text_and_as_bytes_and_when_written_again(event: WebSocketEvent) -> None:
    text = event.to_json()

    assert WebSocketEvent.from_json(text.encode()) == WebSocketEvent.from_json(text)
    assert WebSocketEvent.from_json(text).to_json() == text


@law
@given(events())
def test_times_are_utc_whatever_the_zone_they_were_given_in(event: WebSocketEvent) -> None:
    assert event.timestamp.tzinfo is UTC
    assert json.loads(event.to_json())["timestamp"].endswith("Z")


def test_what_is_left_out_is_filled() -> None:
    before = datetime.now(UTC)

    event = WebSocketEvent.create("task.failed", {"error": "boom"})

    assert UUID(event.event_id).version == 4
    assert before <= event.timestamp <= datetime.now(UTC)
    assert event.priority is EventPriority.HIGH
    assert (event.crew_id, event.execution_id, event.sequence, event.seq) == (None, None, None, None)
    assert event.metadata == {}


def test_two_events_do_not_share_an_id() -> None:
    assert WebSocketEvent.create("crew.created").event_id != WebSocketEvent.create("crew.created").event_id


@pytest.mark.parametrize("event_type", ["crew.created", "execution.failed", "llm.chunk", "system.error"])
def test_a_publisher_may_override_the_priority_of_the_type(event_type: str) -> None:
    data = {"error": "e", "text": "t"}

    assert WebSocketEvent.create(event_type, data).priority is default_priority(event_type)
    assert WebSocketEvent.create(event_type, data, priority="normal").priority is EventPriority.NORMAL


def test_the_subject_is_made_of_the_type_and_the_ids() -> None:
    event = WebSocketEvent.create("task.completed", crew_id="crew_9", execution_id="exec_123")

    assert str(event.subject) == "task.completed.crew_9.exec_123"
    assert str(WebSocketEvent.create("task.completed").subject) == "task.completed._._"


def test_data_becomes_the_payload_of_the_type() -> None:
    event = WebSocketEvent.create("task.completed", {"result": 1, "colour": "red"})

    assert isinstance(event.data, TaskCompleted)
    assert event.data.result == 1
    assert event.data.model_extra == {"colour": "red"}


def test_a_payload_is_taken_as_it_is_if_it_is_the_type_s_own_and_read_again_if_not() -> None:
    payload = TaskCompleted(result=1)

    assert WebSocketEvent(event_type="task.completed", data=payload).data is payload
    assert WebSocketEvent.create("custom.done", payload).data.model_extra == dict(payload)
    with pytest.raises(ContractError, match=r"^data\.error: Field required$"):
        WebSocketEvent.create("task.failed", payload)


def test_an_open_type_carries_any_object() -> None:
    event = WebSocketEvent.create("custom.anything", {"a": [1, {"b": None}]})

    assert isinstance(event.data, OpenPayload)
    assert json.loads(event.to_json())["data"] == {"a": [1, {"b": None}]}


def test_a_registered_payload_may_have_types_that_json_writes_as_text() -> None:
    event = WebSocketEvent.create(
        "invoice.paid", Paid(on=date(2026, 7, 1), as_=EventPriority.HIGH, parts=(1, 2))
    )

    assert WebSocketEvent.from_json(event.to_json()) == event
    with pytest.raises(ContractError, match=r"^data\.on: "):
        WebSocketEvent.from_json(event.to_json().replace("2026-07-01", "sesame"))


def test_an_event_is_frozen() -> None:
    event = WebSocketEvent.create("crew.created")

    with pytest.raises(ValidationError, match="frozen"):
        event.crew_id = "other"  # type: ignore[misc]


def test_the_event_type_of_an_enum_is_plain_text() -> None:
    assert type(WebSocketEvent.create(EventType.CREW_CREATED).event_type) is str


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_id", ""),
        ("event_id", "a b"),
        ("event_id", None),
        ("timestamp", "2026-07-01T12:00:00"),
        ("timestamp", "yesterday"),
        ("timestamp", 1_750_000_000),
        ("timestamp", "0001-01-01T00:00:00+14:00"),
        ("timestamp", "9999-12-31T23:59:59-14:00"),
        ("priority", "vital"),
        ("source", 5),
        ("crew_id", "a.b"),
        ("execution_id", "*"),
        ("task_id", "_"),
        ("agent_id", "a" * 129),
        ("parent_id", "a\n"),
        ("sequence", 0),
        ("sequence", "1"),
        ("sequence", 1.5),
        ("sequence", True),
        ("client_id", ">"),
        ("seq", 0),
        ("metadata", []),
        ("data", None),
        ("data", []),
        ("data", "text"),
        ("execution", "e1"),
    ],
)
def test_a_bad_field_is_refused_by_its_name(field: str, value: object) -> None:
    text = json.dumps({"event_type": "crew.created", field: value})

    with pytest.raises(ContractError) as refused:
        WebSocketEvent.from_json(text)

    assert refused.value.field == field


@pytest.mark.parametrize(
    "event_type", ["", "task", "task.nothing", "nobody.knows", "task.completed.c.e", 5, None]
)
def test_an_unknown_type_is_the_first_complaint(event_type: object) -> None:
    with pytest.raises(ContractError) as refused:
        WebSocketEvent.from_json(json.dumps({"event_type": event_type, "data": 5}))

    assert refused.value.field == "event_type"


@pytest.mark.parametrize(
    ("event_type", "data", "field"),
    [
        ("task.failed", {}, "data.error"),
        ("task.failed", {"error": 5}, "data.error"),
        ("task.completed", {"duration_ms": -1}, "data.duration_ms"),
        ("task.completed", {"duration_ms": "5"}, "data.duration_ms"),
        ("execution.progress", {"progress": 1.1}, "data.progress"),
        ("queue.cleared", {"removed": 1.0}, "data.removed"),
        ("system.health_check", {"status": "fine"}, "data.status"),
        ("crew.updated", {"changes": []}, "data.changes"),
        ("agent.created", {"tools": ["a", 5]}, "data.tools.1"),
    ],
)
def test_bad_data_is_refused_by_its_path(event_type: str, data: dict[str, object], field: str) -> None:
    with pytest.raises(ContractError) as created:
        WebSocketEvent.create(event_type, data)
    with pytest.raises(ContractError) as read:
        WebSocketEvent.from_json(json.dumps({"event_type": event_type, "data": data}))

    assert created.value.field == read.value.field == field


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '"event_type"', "null", b"\xff", '{"a": "\ud800"}'])
def test_what_is_not_a_json_object_is_refused_as_a_whole(text: str | bytes) -> None:
    with pytest.raises(ContractError) as refused:
        WebSocketEvent.from_json(text)

    assert refused.value.field == ""


def loop() -> list[Any]:
    """A list that holds itself."""
    inner: list[Any] = []
    inner.append(inner)
    return inner


@pytest.mark.parametrize(
    "value", [object(), loop(), b"\xff", "\ud800"], ids=["object", "loop", "bytes", "half"]
)
def test_what_json_cannot_carry_is_refused_when_it_is_written(value: object) -> None:
    event = WebSocketEvent.create("custom.odd", {"value": value})

    with pytest.raises(ContractError) as refused:
        event.to_json()

    assert refused.value.field == "data"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_a_number_becomes_null_in_open_data_and_is_refused_in_typed_data(number: float) -> None:
    assert json.loads(WebSocketEvent.create("custom.odd", {"x": number}).to_json())["data"] == {"x": None}
    with pytest.raises(ContractError, match=r"^data\.duration_ms: "):
        WebSocketEvent.create("task.completed", {"duration_ms": number})


def test_what_create_refuses_names_the_field() -> None:
    with pytest.raises(ContractError) as refused:
        WebSocketEvent.create("task.completed", exection_id="e1")

    assert refused.value.field == "exection_id"


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    moment = datetime(2026, 7, 1, 14, tzinfo=timezone(timedelta(hours=2)))

    assert WebSocketEvent.create("crew.created", timestamp=moment).timestamp == moment


@pytest.mark.parametrize("audience", ["everyone", "global", "execution_e1", "task_updates", "task.*.c1.>"])
def test_an_audience_is_everyone_or_a_subscription_and_its_event_is_published_on_the_bare_subject(
    audience: str,
) -> None:
    event = WebSocketEvent.create("custom.note", audience=audience, execution_id="e1")

    assert WebSocketEvent.from_json(event.to_json()) == event
    assert (event.address, str(event.subject)) == ("custom.note", "custom.note._.e1")


def test_without_an_audience_an_event_is_published_on_its_subject() -> None:
    assert WebSocketEvent.create("custom.note", execution_id="e1").address == "custom.note._.e1"
    assert WebSocketEvent.create("custom.note", audience=None).audience is None


@pytest.mark.parametrize(
    "envelope",
    [{"audience": "nobody"}, {"audience": ""}, {"audience": "global", "client_id": "c"}],
)
def test_an_audience_that_means_nothing_is_refused(envelope: dict[str, Any]) -> None:
    with pytest.raises(ContractError) as refused:
        WebSocketEvent.create("custom.note", **envelope)

    assert refused.value.field == "audience"
