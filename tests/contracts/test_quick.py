"""Reading quickly is reading: the same events, and nothing that would be refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.events import WebSocketEvent
from contracts.quick import read_quickly
from contracts.types import EventType
from tests.contracts.strategies import events, few, json_values, law


def slowly(body: bytes) -> WebSocketEvent | None:
    try:
        return WebSocketEvent.model_validate_json(body, strict=True)
    except ValidationError:
        return None


def parts(event: WebSocketEvent) -> tuple[dict[str, Any], type, set[str]]:
    return dict(event), type(event.data), event.model_fields_set


@pytest.mark.parametrize("event_type", EventType)
@few
@given(st.data())
def test_an_event_of_a_built_in_type_is_read_as_it_is(event_type: EventType, data: st.DataObject) -> None:
    event = data.draw(events(event_type))

    quick = read_quickly(event.to_json().encode(), event_type)

    assert quick is not None
    assert dict(quick) == dict(WebSocketEvent.from_json(event.to_json()))
    assert type(quick.data) is type(event.data)


@law
@given(st.data())
def test_what_is_read_quickly_would_have_been_read_slowly(data: st.DataObject) -> None:
    event_type = data.draw(st.sampled_from(EventType))
    body = json.loads(data.draw(events(event_type)).to_json())
    target = data.draw(st.sampled_from([body, body["data"]]))
    name = data.draw(st.sampled_from([*WebSocketEvent.model_fields, *WebSocketEvent.model_fields, *target]))
    target[name] = data.draw(json_values)
    written = json.dumps(body).encode()

    quick, slow = read_quickly(written, event_type), slowly(written)

    if quick is not None:
        assert slow is not None
        assert parts(quick) == parts(slow)


@pytest.mark.parametrize(
    ("body", "event_type"),
    [
        (b'{"event_type":"custom.any","data":{}}', "custom.any"),
        (b'{"event_type":"task.failed","data":{"error":"x"}}', "task.completed"),
        (b'{"event_type":"task.completed"}', "task.completed"),
        (b'{"data":{}}', "task.completed"),
        (
            b'{"event_type":"task.completed","data":{},"timestamp":"2026-07-01T12:00:00+02:00"}',
            "task.completed",
        ),
        (b"{", "task.completed"),
    ],
    ids=["open type", "other type", "no data", "no type", "other zone", "no json"],
)
def test_what_takes_a_closer_look_is_left_to_it(body: bytes, event_type: str) -> None:
    assert read_quickly(body, event_type) is None
