"""Runs that do not begin with a kickoff, or do not end with it, in the newest CrewAI and the oldest."""

import pytest

from tests.crew.recorded import Run, run_modes
from tests.crew.truth import assert_complete, assert_dense, assert_in_order

ONCE = [
    "replay", "failing_replay", "lone_task", "lone_agent", "failing_agent", "checkpoint", "silent_flow",
    "failing_silent_flow", "conversation", "deferred_flow", "crew_test",
]  # fmt: skip
"""Every execution of these begins once, and ends once with the last of its events."""
MODES = [
    *ONCE, "conversation_left_open", "conversation_by_turns", "sticky_name", "raising_callback",
    "raising_tool", "raising_once", "limited_tool", "reporting_tool", "missing_tool", "garbled_arguments",
    "native_calls",
]  # fmt: skip
NOT_OLD = {"conversation", "conversation_left_open", "conversation_by_turns", "reporting_tool"}
"""What CrewAI 1.14.7 does not have."""
OTHERWISE_OLD = {
    "replay",  # It says only that the crew is done, and that of the kickoff before.
    "failing_replay",
    "failing_silent_flow",  # A flow that fails says nothing of it.
    "deferred_flow",  # Its sessions cannot be closed.
}
ENDS = {"execution.completed", "execution.failed"}


@pytest.fixture(scope="module")
def newest(crewai_python: str, stream_url: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_modes(crewai_python, stream_url, tmp_path_factory.mktemp("runs"), scenario="runs")


@pytest.fixture(scope="module")
def oldest(old_crewai_python: str, stream_url: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_modes(old_crewai_python, stream_url, tmp_path_factory.mktemp("old"), scenario="runs")


def assert_one_beginning_and_one_end(types: list[str]) -> None:
    assert types[0] == "execution.started"
    assert types[-1] in ENDS
    assert types.count("execution.started") == 1
    assert len([each for each in types if each in ENDS]) == 1


@pytest.mark.parametrize("name", MODES)
def test_the_stream_holds_once_and_in_order_what_the_bus_emitted(newest: Run, name: str) -> None:
    mode = newest.mode(name)

    assert mode.emitted
    assert_complete(mode.emitted, mode.stored)
    assert_in_order(mode.emitted, mode.stored)


@pytest.mark.parametrize("name", [name for name in MODES if name not in NOT_OLD])
def test_so_it_does_of_the_oldest_crewai(oldest: Run, name: str) -> None:
    mode = oldest.mode(name)

    assert mode.emitted
    assert_complete(mode.emitted, mode.stored)


def test_every_execution_counts_its_events_without_a_hole(newest: Run, oldest: Run) -> None:
    assert_dense(newest.stored)
    assert_dense(oldest.stored)


@pytest.mark.parametrize("name", ONCE)
def test_an_execution_begins_once_and_ends_once_with_the_last_of_its_events(newest: Run, name: str) -> None:
    executions = newest.mode(name).executions()

    assert executions
    for types in executions:
        assert_one_beginning_and_one_end(types)


@pytest.mark.parametrize("name", [name for name in ONCE if name not in NOT_OLD | OTHERWISE_OLD])
def test_so_it_does_in_the_oldest_crewai(oldest: Run, name: str) -> None:
    executions = oldest.mode(name).executions()

    assert executions
    for types in executions:
        assert_one_beginning_and_one_end(types)


@pytest.mark.parametrize(
    ("name", "count"),
    [("replay", 2), ("lone_task", 1), ("lone_agent", 2), ("checkpoint", 2), ("silent_flow", 1),
     ("conversation", 1), ("conversation_by_turns", 2), ("deferred_flow", 1), ("crew_test", 1)],
)  # fmt: skip
def test_each_run_is_one_execution_whole(newest: Run, name: str, count: int) -> None:
    mode = newest.mode(name)
    outside = {m.type for m in mode.stored if "execution_id" not in m.event}

    assert len(mode.executions()) == count
    assert outside <= {"custom.checkpoint_restore_started", "custom.checkpoint_restore_completed"}


def test_a_crew_within_a_silent_flow_is_no_execution(newest: Run) -> None:
    (types,) = newest.mode("silent_flow").executions()

    assert types.count("crew.started") == types.count("crew.completed") == 2
    assert newest.mode("failing_silent_flow").types()[-2:] == ["flow.failed", "execution.failed"]


def test_a_session_that_nobody_closes_is_completed_when_its_process_ends(newest: Run) -> None:
    (message, *_) = newest.mode("conversation_left_open").stored
    name = message.event["execution_id"]
    types = [m.type for m in newest.stored if m.event.get("execution_id") == name]

    assert types[:2] == ["execution.started", "custom.flow_created"]
    assert types.count("custom.conversation_turn_completed") == 2
    assert_one_beginning_and_one_end(types)
    assert types[-1] == "execution.completed"


def test_what_a_conversation_says_behind_a_turn_that_ended_it_still_belongs_to_it(newest: Run) -> None:
    for types in newest.mode("conversation_by_turns").executions():
        assert types[-2:] == ["execution.completed", "custom.conversation_turn_completed"]


def test_a_name_that_sticks_is_begun_anew_at_each_kickoff(newest: Run) -> None:
    (types,) = newest.mode("sticky_name").executions()

    half = len(types) // 2
    assert_one_beginning_and_one_end(types[:half])
    assert_one_beginning_and_one_end(types[half:])


def test_a_callback_that_raises_fails_what_was_completed_and_nothing_else(newest: Run) -> None:
    failed, after = newest.mode("raising_callback").executions()

    assert failed[-2:] == ["execution.completed", "execution.failed"]
    assert_one_beginning_and_one_end(after)


@pytest.mark.parametrize("name", ["conversation", "silent_flow", "lone_task", "replay"])
def test_how_long_a_run_took_is_counted_from_its_own_beginning(newest: Run, name: str) -> None:
    for data in newest.mode(name).data("execution.completed"):
        assert 0 < data["duration_ms"] < 60_000


ATTEMPT = ["custom.tool_attempt_started", "custom.tool_attempt_failed"]
CALLS = {
    "raising_tool": [
        "tool.started", "custom.tool_attempt_failed", *ATTEMPT, "custom.tool_attempt_started", "tool.failed",
    ],
    "raising_once": [
        "tool.started", "custom.tool_attempt_failed", "custom.tool_attempt_started", "tool.finished",
    ],
    "limited_tool": ["tool.started", "tool.finished", "tool.started", "tool.failed"],
    "reporting_tool": ["tool.started", "tool.failed"],
    "missing_tool": ["tool.failed", *["custom.tool_attempt_failed"] * 5],
    "garbled_arguments": ["tool.failed", "custom.tool_attempt_failed"],
}  # fmt: skip


def calls(run: Run, name: str) -> list[str]:
    """What there is of calls of tools, but for what says a second time that one failed."""
    kinds = [each for each in run.mode(name).types() if "tool" in each]
    return [each for each in kinds if each != "custom.tool_failure_detected"]


@pytest.mark.parametrize("name", CALLS)
def test_a_call_of_a_tool_ends_once_and_its_attempts_are_told_apart(newest: Run, name: str) -> None:
    detected = newest.mode(name).types().count("custom.tool_failure_detected")

    assert calls(newest, name) == CALLS[name]
    assert detected == CALLS[name].count("tool.failed")


@pytest.mark.parametrize("name", ["raising_tool", "raising_once", "missing_tool", "garbled_arguments"])
def test_so_it_does_where_crewai_does_not_say_at_the_end_that_it_failed(oldest: Run, name: str) -> None:
    assert calls(oldest, name) == CALLS[name]


def test_of_five_calls_by_a_models_own_protocol_three_of_them_at_once_each_ends_once(newest: Run) -> None:
    """Two raise, one returns, one is of a tool that is not there, and the arguments of one are garbled."""
    found = calls(newest, "native_calls")

    assert (found.count("tool.started"), found.count("tool.finished"), found.count("tool.failed")) == (
        4,
        1,
        4,
    )
    assert len(found) == 9


def test_attempts_are_within_their_call_and_the_call_takes_as_long_as_all_of_them(newest: Run) -> None:
    mode = newest.mode("raising_tool")
    (started,) = (m.event for m in mode.stored if m.type == "tool.started")
    attempts = [m.event for m in mode.stored if m.type.startswith("custom.tool_attempt")]
    (failed,) = mode.data("tool.failed")

    assert {each["parent_id"] for each in attempts} == {started["event_id"]}
    assert failed["attempt"] == 3
    assert failed["duration_ms"] >= sum(each["data"].get("duration_ms", 0) for each in attempts)


def test_a_tool_that_reports_a_failure_has_failed_and_says_why(newest: Run) -> None:
    (failed,) = newest.mode("reporting_tool").data("tool.failed")
    limited = newest.mode("limited_tool").data("tool.failed")[0]

    assert failed["error"] == "closed today"
    assert "usage limit" in limited["error"]
