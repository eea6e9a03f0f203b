"""Filters: what passes, and which filters are the same."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.events import WebSocketEvent
from contracts.filters import EventFilter
from contracts.types import FAMILIES, EventPriority, family_of
from tests.contracts.strategies import events, law, type_names

names = st.sampled_from([*type_names, *(f"{family}.*" for family in FAMILIES)])
people = st.none() | st.frozensets(st.sampled_from("abc"))
filters = st.builds(
    EventFilter,
    types=st.none() | st.frozensets(names),
    min_priority=st.none() | st.sampled_from(EventPriority),
    agents=people,
    tasks=people,
)
some_events = st.builds(
    lambda event, agent, task: event.model_copy(update={"agent_id": agent, "task_id": task}),
    events(),
    st.none() | st.sampled_from("abc"),
    st.none() | st.sampled_from("abc"),
)


def event(event_type: str = "task.completed", **envelope: object) -> WebSocketEvent:
    return WebSocketEvent.create(event_type, {"error": "e"}, **envelope)


@law
@given(events())
def test_an_empty_filter_lets_everything_pass(any_event: WebSocketEvent) -> None:
    assert EventFilter().matches(any_event)


@law
@given(filters, some_events)
def test_an_event_passes_if_it_meets_each_condition_by_itself(
    wanted: EventFilter, seen: WebSocketEvent
) -> None:
    conditions = [EventFilter.model_validate({name: value}) for name, value in wanted]

    assert wanted.matches(seen) == all(condition.matches(seen) for condition in conditions)


@law
@given(st.frozensets(names), st.sampled_from(type_names))
def test_a_type_is_wanted_by_its_name_or_by_its_family(wanted: frozenset[str], event_type: str) -> None:
    by_name = event_type in wanted
    by_family = any(name == f"{family_of(event_type)}.*" for name in wanted)

    assert EventFilter(types=wanted).wants_type(event_type) == (by_name or by_family)


def test_without_types_every_type_is_wanted() -> None:
    assert EventFilter().wants_type("task.completed")


@pytest.mark.parametrize("minimum", EventPriority)
@pytest.mark.parametrize("priority", EventPriority)
def test_a_minimum_priority_lets_pass_what_matters_as_much_or_more(
    minimum: EventPriority, priority: EventPriority
) -> None:
    passes = EventFilter(min_priority=minimum).matches(event(priority=priority))

    assert passes == (priority.rank >= minimum.rank)


def test_agents_and_tasks_select_by_id_and_not_what_has_none() -> None:
    by_agent, by_task = EventFilter(agents=frozenset({"a1"})), EventFilter(tasks=frozenset({"t1"}))

    assert by_agent.matches(event(agent_id="a1"))
    assert not by_agent.matches(event(agent_id="a2"))
    assert not by_agent.matches(event())
    assert by_task.matches(event(task_id="t1"))
    assert not by_task.matches(event(task_id="t2"))
    assert not by_task.matches(event())


@law
@given(filters)
def test_a_filter_that_was_sent_as_json_is_the_same_filter(wanted: EventFilter) -> None:
    read = EventFilter.model_validate_json(wanted.model_dump_json())

    assert read == wanted
    assert hash(read) == hash(wanted)


def test_filters_that_mean_the_same_are_equal_and_hash_alike() -> None:
    same = [
        EventFilter(types=frozenset({"task.*"})),
        EventFilter(types=frozenset({"task.*", "task.failed"})),
        EventFilter(types=frozenset({"task.failed", "task.completed", "task.*"}), min_priority=None),
        EventFilter(types=frozenset({"task.*"}), min_priority=EventPriority.LOW),
    ]

    assert len(set(same)) == 1
    assert EventFilter(min_priority=EventPriority.LOW) == EventFilter()


def test_filters_that_mean_something_else_differ() -> None:
    different = [
        EventFilter(),
        EventFilter(types=frozenset()),
        EventFilter(types=frozenset({"task.failed"})),
        EventFilter(types=frozenset({"task.failed", "crew.*"})),
        EventFilter(min_priority=EventPriority.HIGH),
        EventFilter(agents=frozenset({"x"})),
        EventFilter(tasks=frozenset({"x"})),
    ]

    assert all(one != other for one, other in combinations(different, 2))
    assert len(set(different)) == len(different)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "*",
        "task",
        "task.",
        "task.nothing",
        "nothing.*",
        "custom.a b",
        "custom.*.*",
        "custom.",
        "custom.x.*",
    ],
)
def test_a_type_that_cannot_occur_is_refused_and_not_quoted(name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        EventFilter(types=frozenset({name, "task.failed"}))

    assert refused.value.errors()[0]["msg"] == (
        "Value error, names an event type or family that does not exist"
    )


@pytest.mark.parametrize(
    "types", [frozenset({"custom.mine"}), frozenset({"custom.*"}), frozenset({"task.*", "crew.deleted"})]
)
def test_types_of_known_and_of_open_families_can_be_named(types: frozenset[str]) -> None:
    assert EventFilter(types=types).types == types


@pytest.mark.parametrize(
    "bad", [{"agents": ["a b"]}, {"tasks": ["_"]}, {"min_priority": "vital"}, {"type": []}]
)
def test_a_malformed_condition_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EventFilter.model_validate(bad)
