"""Factories: one call an event, for every type of their family."""

from collections.abc import Callable
from typing import Any

import pytest

from contracts.errors import ContractError
from contracts.events import WebSocketEvent
from contracts.factories import (
    create_agent_event,
    create_connection_event,
    create_crew_event,
    create_event,
    create_execution_event,
    create_manager_event,
    create_memory_event,
    create_queue_event,
    create_system_event,
    create_task_event,
)
from contracts.types import EventPriority, EventType

Factory = Callable[..., WebSocketEvent]

ENVELOPE: dict[str, tuple[Factory, str]] = {
    "execution": (create_execution_event, "execution_id"),
    "task": (create_task_event, "task_id"),
    "manager": (create_manager_event, "agent_id"),
    "crew": (create_crew_event, "crew_id"),
    "agent": (create_agent_event, "agent_id"),
}
DATA: dict[str, tuple[Factory, str]] = {
    "queue": (create_queue_event, "queue"),
    "memory": (create_memory_event, "memory_type"),
    "system": (create_system_event, "component"),
    "connection": (create_connection_event, "client_id"),
}
REQUIRED = {"error": "boom", "progress": 0.5, "action": "x", "outcome": "done"}
"""What some types ask for; to the others it is data that they do not know."""


def types_of(families: dict[str, Any]) -> list[EventType]:
    return [event_type for event_type in EventType if event_type.family in families]


@pytest.mark.parametrize("event_type", types_of(ENVELOPE))
def test_what_an_event_is_about_is_in_its_envelope(event_type: EventType) -> None:
    factory, field = ENVELOPE[event_type.family]

    event = factory(**{field: "x1"}, status=event_type.split(".")[1], **REQUIRED)

    assert event.event_type == event_type
    assert getattr(event, field) == "x1"


@pytest.mark.parametrize("event_type", types_of(DATA))
def test_what_surrounds_the_work_is_named_in_the_data(event_type: EventType) -> None:
    factory, field = DATA[event_type.family]

    event = factory(**{field: "x1"}, status=event_type.split(".")[1], **REQUIRED)

    assert event.event_type == event_type
    assert event.data.model_dump()[field] == "x1"
    assert event.client_id is None


def test_keywords_of_the_envelope_go_there_and_all_others_are_data() -> None:
    event = create_task_event(
        "t1",
        "completed",
        execution_id="e1",
        priority="critical",
        metadata={"a": 1},
        result="done",
        colour="red",
    )

    assert (event.task_id, event.execution_id, event.metadata) == ("t1", "e1", {"a": 1})
    assert event.priority is EventPriority.CRITICAL
    assert event.data.model_dump(exclude_none=True) == {"result": "done", "colour": "red"}


def test_data_holds_what_a_keyword_cannot_name() -> None:
    event = create_event(
        "custom.done", {"source": "data", "event_type": "data", "seq": 1}, source="envelope", a=2
    )

    assert event.source == "envelope"
    assert event.data.model_extra == {"source": "data", "event_type": "data", "seq": 1, "a": 2}


@pytest.mark.parametrize("event_type", types_of(ENVELOPE | DATA))
def test_every_factory_takes_data_as_a_mapping_too(event_type: EventType) -> None:
    factory, _ = (ENVELOPE | DATA)[event_type.family]

    event = factory("x1", event_type.split(".")[1], data={"odd key": 1, **REQUIRED})

    assert event.data.model_dump()["odd key"] == 1


def test_a_component_is_healthy_unless_it_says_else() -> None:
    assert create_system_event("api", "health_check").data.model_dump()["status"] == "ok"

    event = create_system_event("api", "health_check", data={"status": "down"})

    assert event.data.model_dump()["status"] == "down"


def test_the_client_of_a_connection_event_is_not_its_addressee() -> None:
    event = create_connection_event("client_1", "lost", reason="gone")

    assert event.client_id is None
    assert event.data.model_dump(exclude_none=True) == {"client_id": "client_1", "reason": "gone"}


def test_a_manager_need_not_be_an_agent() -> None:
    assert create_manager_event(None, "decision_made", decision="go").agent_id is None


def test_an_event_without_data_has_an_empty_payload() -> None:
    assert create_event("custom.done").data.model_dump() == {}


@pytest.mark.parametrize(
    ("event_type", "fields", "field"),
    [
        ("task.vanished", {}, "event_type"),
        ("nobody.knows", {}, "event_type"),
        ("task.failed", {}, "data.error"),
        ("task.completed", {"task_id": "a b"}, "task_id"),
        ("execution.progress", {"progress": 2.0}, "data.progress"),
        ("custom.done", {"sequence": 0}, "sequence"),
    ],
)
def test_what_the_type_does_not_allow_is_refused_by_its_name(
    event_type: str, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(ContractError) as refused:
        create_event(event_type, **fields)

    assert refused.value.field == field
