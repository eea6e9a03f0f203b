"""Types: their names, what they count as, and how long they are worth keeping."""

import pytest

from contracts.types import (
    FAMILIES,
    EventPriority,
    EventType,
    default_priority,
    family_of,
    is_short_lived,
)

SHORT_LIVED = {
    "llm.chunk",
    "execution.progress",
    "task.progress",
    "connection.established",
    "connection.lost",
    "connection.heartbeat",
    "system.health_check",
}


def expected_priority(name: str) -> str:
    if name == "system.error":
        return "critical"
    if name.endswith(("failed", ".failure")):
        return "high"
    return "low" if name in SHORT_LIVED else "normal"


@pytest.mark.parametrize("event_type", EventType)
def test_every_type_has_the_priority_that_people_expect_of_it(event_type: EventType) -> None:
    assert default_priority(event_type) == expected_priority(event_type)


@pytest.mark.parametrize("event_type", EventType)
def test_only_what_comes_often_and_means_nothing_later_is_short_lived(event_type: EventType) -> None:
    assert is_short_lived(event_type) == (event_type in SHORT_LIVED)


@pytest.mark.parametrize(
    ("name", "priority", "short_lived"),
    [
        ("invoice.failed", "high", False),
        ("invoice.payment_failed", "high", False),
        ("invoice.unfailed", "normal", False),
        ("invoice.progress", "low", True),
        ("invoice.paid", "normal", False),
    ],
)
def test_types_of_applications_follow_the_same_rules(name: str, priority: str, short_lived: bool) -> None:
    assert (default_priority(name), is_short_lived(name)) == (priority, short_lived)


def test_priorities_are_ranked_from_low_to_critical() -> None:
    assert sorted(EventPriority, key=lambda priority: priority.rank) == ["low", "normal", "high", "critical"]
    assert [priority.rank for priority in EventPriority] == [0, 1, 2, 3]


@pytest.mark.parametrize("event_type", EventType)
def test_a_type_is_a_family_and_an_action(event_type: EventType) -> None:
    family, action = event_type.split(".")

    assert event_type.family == family_of(event_type) == family
    assert event_type.name == f"{family}_{action}".upper()


def test_families_are_listed_once_the_core_ones_first_and_the_open_one_last() -> None:
    core = ("execution", "task", "manager", "queue", "memory", "system", "connection", "crew", "agent")

    assert len(FAMILIES) == len(set(FAMILIES))
    assert FAMILIES[: len(core)] == core
    assert FAMILIES[-1] == "custom"
