"""To which execution an event belongs, and which event begins it and ends it."""

import logging
from typing import Any

import pytest

from tests.crew.bench import Bench, Crew, event

ENDS = {"execution.completed", "execution.failed"}


class Source:
    """Something that emits events."""


class Session(Source):
    """A flow that stays open until it is closed."""

    def _should_defer_trace_finalization(self) -> bool:
        return True


def fresh(**options: Any) -> Bench:
    return Bench(has_begun=False, **options)


def whole(found: list[dict[str, Any]]) -> list[str]:
    """The types of the events of one execution that begins and ends once."""
    types = [each["event_type"] for each in found]
    assert len({each["execution_id"] for each in found}) == 1
    assert (types[0], types.count("execution.started")) == ("execution.started", 1)
    assert types[-1] in ENDS
    assert sum(each in ENDS for each in types) == 1
    assert [each["sequence"] for each in found] == list(range(1, len(found) + 1))
    return types


def test_what_happens_in_a_scope_belongs_to_its_execution_whatever_crewai_calls_it() -> None:
    """CrewAI names no execution at ``crew.replay()``, and then one for the work of each agent."""
    bench, crew = fresh(execution=None), Crew()
    start = event("crew_kickoff_started")
    task = event("task_started", start)
    bench.record(start, source=crew)
    bench.record(task)
    bench.execution = "inner"
    call = event("llm_call_started", task)
    bench.record(call, event("llm_stream_chunk", call, call_id="c", chunk="x"))
    bench.record(event("llm_call_completed", task, call))
    bench.execution = None
    bench.record(event("task_completed", start, task))
    bench.record(event("crew_kickoff_completed", None, start), source=crew)

    assert "llm.chunk" in whole(bench.taken())
    assert bench.ended == 1


def test_what_comes_late_belongs_to_what_is_over_and_ends_nothing() -> None:
    bench, crew = fresh(), Crew()
    start = event("crew_kickoff_started")
    task = event("task_started", start)
    bench.record(start, source=crew)
    bench.record(task, event("task_completed", start, task))
    bench.record(event("crew_kickoff_completed", None, start), source=crew)
    bench.taken()
    bench.record(event("memory_save_started", task), event("llm_call_started"), event("memory_save_failed"))

    assert {each["execution_id"] for each in bench.taken()} == {"e1"}
    assert bench.ended == 1


@pytest.mark.parametrize("name", [None, "e1"])
def test_a_task_by_itself_is_an_execution(name: str | None) -> None:
    bench, alone = fresh(execution=name), Source()
    task = event("task_started")
    bench.record(task, source=alone)
    bench.execution = "inner"
    bench.record(event("llm_call_started", task))
    bench.execution = name
    bench.record(event("task_failed", None, task, error="no"), source=alone)

    assert whole(bench.taken())[-1] == "execution.failed"


@pytest.mark.parametrize("name", [None, "e2"])
def test_a_crew_that_goes_on_from_an_earlier_process_is_begun_by_its_first_event(name: str | None) -> None:
    bench, crew, earlier = fresh(execution=name), Crew(), event("crew_kickoff_started")
    for number in range(2):
        task = event("task_started", earlier, task_id=f"t{number}")
        bench.record(task, event("llm_call_started", task), event("task_completed", earlier, task))
    bench.record(event("crew_kickoff_completed", None, earlier), source=crew)

    assert whole(bench.taken()).count("task.assigned") == 2
    assert bench.ended == 1


def test_so_it_is_in_the_process_that_ran_it_before() -> None:
    bench, crew, again = fresh(execution=None), Crew(), Crew()
    start = event("crew_kickoff_started")
    bench.record(start, event("crew_kickoff_completed", None, start), source=crew)
    bench.taken()
    for _ in range(2):
        task = event("task_started", start)
        bench.record(task, event("task_completed", start, task))
    bench.record(event("crew_kickoff_completed", None, start), source=again)

    assert whole(bench.taken()).count("task.assigned") == 2


def test_a_session_is_one_execution_until_it_is_closed() -> None:
    bench, talk = fresh(execution=None), Session()
    bench.record(event("flow_created"), event("conversation_turn_started"), source=talk)
    assert bench.taken() == []
    start = event("flow_started")
    for name in ("u1", "u2"):
        bench.execution = name
        if name == "u1":
            bench.record(start, source=talk)
        method = event("method_execution_started", start)
        bench.record(method, event("method_execution_finished", start, method), source=talk)
        bench.execution = None
        bench.record(event("conversation_turn_completed"), source=talk)
        if name == "u1":
            bench.record(event("conversation_turn_started"), source=talk)
    bench.execution = "u3"
    bench.record(event("flow_finished", None, start), source=talk)

    types = whole(bench.taken())
    assert types[:4] == [
        "execution.started", "custom.flow_created", "custom.conversation_turn_started", "flow.started",
    ]  # fmt: skip
    assert types.count("custom.conversation_turn_completed") == 2
    assert bench.ended == 3, "each turn is safe when it is over, and so is the end"


@pytest.mark.parametrize(("is_busy", "last"), [(False, "execution.completed"), (True, "execution.failed")])
def test_a_session_left_open_ends_well_unless_it_is_at_work(is_busy: bool, last: str) -> None:
    bench, talk = fresh(), Session()
    start = event("flow_started")
    method = event("method_execution_started", start)
    bench.record(start, method, source=talk)
    if not is_busy:
        bench.record(event("method_execution_finished", start, method), source=talk)
    bench.recorder.end_open_runs("over")

    assert whole(bench.taken())[-1] == last


def test_an_announcement_is_published_even_if_nothing_comes_of_it() -> None:
    bench = fresh(execution=None)
    bench.record(event("flow_created"), source=Source())
    bench.recorder.end_open_runs("over")

    assert bench.types() == ["custom.flow_created"]


def test_a_flow_that_was_never_started_is_not_taken_for_another_in_the_same_place_of_memory() -> None:
    bench, place = fresh(execution=None), Source()
    bench.record(event("flow_created", flow_name="one"), source=place)
    bench.record(event("crew_kickoff_started"), source=place)
    bench.record(event("flow_created", flow_name="two"), source=place)
    bench.record(event("flow_started"), source=place)

    created = [each for each in bench.taken() if each["event_type"] == "custom.flow_created"]
    assert [(each["data"]["name"], "execution_id" in each) for each in created] == [
        ("one", False),
        ("two", True),
    ]


def test_what_a_hook_says_before_the_kickoff_comes_behind_its_beginning() -> None:
    bench, crew = fresh(), Crew()
    bench.record(event("hook_dispatched"))
    start = event("crew_kickoff_started")
    bench.record(start, event("crew_kickoff_completed", None, start), source=crew)

    assert whole(bench.taken())[:2] == ["execution.started", "custom.hook_dispatched"]


def test_of_runs_side_by_side_the_last_ends_their_execution() -> None:
    bench, one, other = fresh(), Crew(), Crew()
    first, second = event("crew_kickoff_started"), event("crew_kickoff_started")
    bench.record(first, source=one)
    bench.record(second, source=other)
    bench.record(event("crew_kickoff_completed", None, first), source=one)
    assert bench.ended == 0
    bench.record(event("crew_kickoff_completed", None, second), source=other)

    types = whole(bench.taken())
    assert (types.count("crew.started"), types.count("crew.completed")) == (1, 1)
    assert bench.ended == 1


def test_a_run_that_never_ends_within_another_keeps_nothing_open() -> None:
    bench, crew, flow = fresh(), Crew(), Source()
    start = event("flow_started")
    bench.record(start, source=flow)
    bench.record(event("crew_kickoff_started", start), source=crew)
    bench.record(event("flow_finished", None, start), source=flow)

    assert whole(bench.taken())[-1] == "execution.completed"


def test_a_kickoff_under_a_scope_that_was_left_behind_is_an_execution_of_its_own() -> None:
    bench, crew, next_crew = fresh(execution=None), Crew(), Crew()
    start = event("crew_kickoff_started")
    left = event("task_started", start)
    bench.record(start, source=crew)
    bench.record(left)
    bench.record(event("crew_kickoff_failed", start, left, error="no"), source=crew)
    first = whole(bench.taken())
    after = event("crew_kickoff_started", start)
    bench.record(after, event("crew_kickoff_completed", start, after), source=next_crew)

    assert first[-1] == "execution.failed"
    assert "task.assigned" not in whole(bench.taken())


def test_where_scopes_mismatch_a_duration_is_the_runs_own_or_is_not_told() -> None:
    bench, crew = fresh(), Crew()
    start = event("crew_kickoff_started")
    task = event("task_started", start)
    call = event("llm_call_started", task)
    bench.record(start, source=crew)
    bench.record(task, call)
    # The call is left open, so each end is paired with the beginning of what is within it.
    bench.record(event("task_completed", task, call), event("llm_call_completed", None, start))
    done = event("crew_kickoff_completed", None, task)
    bench.record(done, source=crew)

    found = {each["event_type"]: each["data"].get("duration_ms") for each in bench.taken()}
    assert found["task.completed"] == 2
    assert found["llm.call_completed"] is None
    assert found["execution.completed"] == (done.timestamp - start.timestamp).total_seconds() * 1000


def test_a_name_that_sticks_begins_anew_and_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    bench = fresh()
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            crew, start = Crew(), event("crew_kickoff_started")
            bench.record(start, event("crew_kickoff_completed", None, start), source=crew)

    types = bench.types()
    assert types.count("execution.started") == types.count("execution.completed") == 4
    assert [record.getMessage()[:12] for record in caplog.records] == ["execution e1"]


def test_what_an_author_says_before_the_kickoff_under_its_name_begins_it() -> None:
    bench, crew = fresh(), Crew()
    bench.record(event("skill_loaded"))
    start = event("crew_kickoff_started")
    bench.record(start, event("crew_kickoff_completed", None, start), source=crew)

    assert whole(bench.taken())[:3] == ["execution.started", "custom.skill_loaded", "crew.started"]
    assert bench.ended == 1


def test_a_silent_flow_of_an_authors_is_an_execution() -> None:
    bench, flow, crew = fresh(), Source(), Crew()
    flow.suppress_flow_events = True  # type: ignore[attr-defined]
    start = event("flow_started")
    bench.record(start, source=flow)
    for _ in range(2):
        inner = event("crew_kickoff_started", start)
        bench.record(inner, event("crew_kickoff_completed", start, inner), source=crew)
    bench.record(event("flow_finished", None, start), source=flow)

    assert whole(bench.taken()).count("crew.completed") == 2
    assert bench.ended == 1


def test_what_is_no_run_has_no_execution_nor_has_what_it_does() -> None:
    """A memory that is searched outside of everything; CrewAI names an execution for its own machinery."""
    bench = fresh(execution=None)
    query = event("memory_save_started")
    bench.record(query)
    bench.execution = "inner"
    bench.record(event("llm_call_started", query))
    bench.execution = None
    bench.record(event("memory_save_completed", None, query))

    assert all("execution_id" not in each for each in bench.taken())
    assert bench.ended == 0


def test_the_child_of_a_fork_ends_none_of_its_parents_executions() -> None:
    bench, crew, inner = fresh(), Crew(), Crew()
    start = event("crew_kickoff_started")
    bench.record(start, source=crew)
    bench.taken()
    bench.recorder.ledger = bench.recorder.ledger.forked()
    own = event("crew_kickoff_started", start)
    bench.record(own, event("crew_kickoff_completed", start, own), source=inner)
    bench.recorder.end_open_runs("over")

    types = bench.types()
    assert (types[0], types[-1]) == ("crew.started", "crew.completed")
    assert bench.ended == 1, "the child may leave without a goodbye"
