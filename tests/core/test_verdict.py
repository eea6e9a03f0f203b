"""What declines an event, held against what the hub does."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.verdict import declined_by
from contracts.filters import EventFilter
from contracts.types import EventPriority
from tests.core.parts import Bench, event, seqs

filters = st.builds(
    EventFilter,
    types=st.sampled_from([None, frozenset({"task.*"}), frozenset({"custom.note"})]),
    min_priority=st.sampled_from([None, *EventPriority]),
    agents=st.sampled_from([None, frozenset({"a1"})]),
    tasks=st.sampled_from([None, frozenset({"t1"})]),
)
some = st.sampled_from
ADDRESSES = [{"client_id": "me"}, {"client_id": "other"}, {"audience": "everyone"}, {"audience": "crew_c1"}]


@given(
    filters,
    some(["global", "crew_c1", "task_updates"]),
    some(["task.completed", "custom.note"]),
    some([None, "c1", "c2"]),
    st.fixed_dictionaries(
        {"priority": some(["low", "normal", "high", "critical"])},
        optional={"agent_id": some(["a1", "a2"]), "task_id": some(["t1", "t2"])},
    ),
    some([{}, *ADDRESSES]),
)
def test_nothing_declines_what_a_client_is_given_and_something_declines_the_rest(
    wanted: EventFilter,
    subscription: str,
    event_type: str,
    crew: str | None,
    envelope: dict[str, Any],
    addressed: dict[str, Any],
) -> None:
    bench = Bench()
    connection, socket = bench.connect(subscription, filter=wanted)
    entry = event(1, event_type, crew=crew, **envelope, **addressed)

    bench.publish(entry)
    bench.settle()

    assert (declined_by(connection, entry) == []) is (seqs(socket) == [1])


def test_every_part_that_declines_is_named() -> None:
    bench = Bench()
    wanted = EventFilter(
        types=frozenset({"task.*"}),
        min_priority=EventPriority.HIGH,
        agents=frozenset({"a1"}),
        tasks=frozenset({"t1"}),
    )
    connection, _ = bench.connect("crew_c1", filter=wanted)

    parts = declined_by(connection, event(1, priority="low"))
    assert parts == ["subscription", "types", "min_priority", "agents", "tasks"]
    assert declined_by(connection, event(2, client_id="other")) == ["addressed"]
