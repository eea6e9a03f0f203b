"""The catalog: a payload for every type, and types that an application adds."""

import pytest

from contracts.catalog import BUILTIN, families, open_family, payload_for, register
from contracts.errors import ContractError
from contracts.payloads.base import OpenPayload, Payload
from contracts.types import FAMILIES, EventType

MISSION = {
    "execution": ["started", "completed", "failed", "progress"],
    "task": ["assigned", "completed", "failed", "progress"],
    "manager": ["delegation_started", "coordination_update", "decision_made"],
    "queue": ["task_added", "task_processed", "task_failed", "cleared"],
    "memory": ["stored", "retrieved", "updated", "cleared"],
    "system": ["startup", "shutdown", "error", "health_check"],
    "connection": ["established", "lost", "heartbeat"],
    "crew": ["created", "updated", "deleted"],
    "agent": ["created", "updated", "deleted"],
}
MISSION_TYPES = [f"{family}.{action}" for family, actions in MISSION.items() for action in actions]


class Opened(Payload):
    """A ticket was opened."""

    title: str


def test_each_of_the_32_types_of_the_mission_has_a_payload_of_its_own() -> None:
    assert len(MISSION_TYPES) == 32
    assert len({payload_for(event_type) for event_type in MISSION_TYPES}) == 32


@pytest.mark.parametrize("event_type", EventType)
def test_every_builtin_type_has_a_payload_named_after_it(event_type: EventType) -> None:
    payload = payload_for(event_type)

    assert payload.__name__.lower() == event_type.name.replace("_", "").lower()
    assert payload.__doc__
    assert payload is BUILTIN[event_type]


def test_no_two_builtin_types_share_a_payload() -> None:
    assert len(set(BUILTIN.values())) == len(EventType)


def test_a_registered_type_has_the_payload_that_was_registered() -> None:
    register("ticket.opened", Opened)

    assert payload_for("ticket.opened") is Opened
    assert "ticket" in families()


def test_registering_a_type_does_not_open_its_family() -> None:
    register("ticket.opened", Opened)

    with pytest.raises(ContractError) as refused:
        payload_for("ticket.closed")

    assert refused.value.field == "event_type"


def test_every_type_of_an_open_family_carries_any_object() -> None:
    open_family("weather")

    assert payload_for("weather.changed") is OpenPayload
    assert payload_for("custom.whatever") is OpenPayload
    assert "weather" in families()


@pytest.mark.parametrize("event_type", ["task.completed", "ticket", "ticket.a.b", "*.a", ""])
def test_a_builtin_or_malformed_type_cannot_be_registered(event_type: str) -> None:
    with pytest.raises(ContractError) as refused:
        register(event_type, Opened)

    assert refused.value.field == "event_type"


@pytest.mark.parametrize("family", ["", "a.b", "*", "a b"])
def test_a_malformed_family_cannot_be_opened(family: str) -> None:
    with pytest.raises(ContractError):
        open_family(family)


def test_every_builtin_family_is_known() -> None:
    assert set(FAMILIES) <= families()
