"""Which execution an event belongs to, what follows from it, and its place in the sequence."""

import threading
from types import SimpleNamespace

import pytest

from tests.crew.bench import Bench, Crew, event


class Internal:
    """A flow of CrewAI's machinery."""

    is_crewai_internal = True


def test_an_event_outside_of_any_execution_has_no_sequence() -> None:
    bench = Bench(execution=None)
    bench.record(event("memory_save_started", value="v"))

    (found,) = bench.taken()
    assert "sequence" not in found
    assert "execution_id" not in found


def test_an_internal_flow_is_transparent() -> None:
    bench = Bench()
    internal = Internal()
    outer = event("task_started")
    bench.record(outer)
    flow = event("flow_started", outer)
    bench.record(flow, source=internal)
    bench.record(event("llm_call_started", flow))
    bench.record(event("flow_finished", outer, flow), source=internal)

    assigned, call = bench.taken()
    assert call["parent_id"] == assigned["event_id"]


def test_without_execution_ids_the_outermost_event_is_the_execution() -> None:
    bench = Bench(knows_executions=False)
    start = event("crew_kickoff_started")
    task = event("task_started", start)
    call = event("llm_call_started", task)
    chunk = event("llm_stream_chunk", call, call_id="c", chunk="x")
    crew = Crew()
    bench.record(start, source=crew)
    bench.record(task, call, chunk)
    bench.record(event("crew_kickoff_completed", None, start), source=crew)

    found = bench.taken()
    assert {each["execution_id"] for each in found} == {start.event_id}
    assert [each["sequence"] for each in found] == list(range(1, len(found) + 1))
    assert bench.ended == 1


def test_a_crew_within_a_flow_is_no_execution() -> None:
    bench = Bench(has_begun=False)
    flow, crew, source = (
        event("flow_started", flow_name="F"),
        event("crew_kickoff_started"),
        SimpleNamespace(),
    )
    bench.record(flow, source=source)
    inner = Crew()
    bench.record(crew, source=inner)
    bench.record(event("crew_kickoff_failed", flow, crew, error="no"), source=inner)
    assert bench.ended == 0
    bench.record(event("flow_failed", None, flow, error=ValueError("no")), source=source)

    types = bench.types()
    assert types == [
        "execution.started", "flow.started", "crew.started", "crew.created", "crew.failed", "flow.failed",
        "execution.failed",
    ]  # fmt: skip
    assert bench.ended == 1


def test_a_paused_flow_ends_nothing_but_waits_for_nobody() -> None:
    bench = Bench(has_begun=False)
    flow, source = event("flow_started"), SimpleNamespace()
    bench.record(flow, source=source)
    bench.record(event("flow_paused", None, flow, method_name="ask", message="well?"), source=source)

    assert bench.types() == ["execution.started", "flow.started", "human.input_requested", "flow.paused"]
    assert bench.ended == 1
    bench.recorder.end_open_runs("over")
    assert bench.types() == []


def test_runs_that_are_open_can_be_failed_and_take_nothing_more() -> None:
    bench = Bench(has_begun=False)
    start = event("crew_kickoff_started")
    bench.record(start, source=Crew())
    bench.taken()
    bench.recorder.end_open_runs("over")
    bench.record(event("task_started", start))

    (failed,) = bench.taken()
    assert (failed["event_id"], failed["priority"]) == (f"{start.event_id}:execution.failed", "high")
    assert failed["data"] == {"error": "over", "error_type": "ProcessEnded"}
    assert failed["crew_id"] == "Crew"


def test_of_runs_that_never_end_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.crew.executions._MAX_EXECUTIONS", 3)
    bench = Bench(has_begun=False)
    for number in range(10):
        bench.execution = f"e{number}"
        bench.record(event("crew_kickoff_started"), source=Crew())

    assert [execution for execution, _, _ in bench.recorder.ledger.open_runs()] == ["e7", "e8", "e9"]


def test_delegation_is_seen_whatever_the_model_made_of_the_arguments() -> None:
    bench = Bench()
    bench.record(
        event(
            "tool_usage_started",
            tool_name="Delegate work to coworker",
            tool_args='{"coworker": "R", "task": "t"}',
        ),
        event("tool_usage_started", tool_name="ask_question_to_coworker", tool_args="no json"),
    )

    found = bench.taken()
    assert [each["event_type"] for each in found] == [
        "tool.started", "manager.delegation_started", "tool.started", "manager.coordination_update",
    ]  # fmt: skip
    assert found[1]["data"] == {"to_agent": "R", "task": "t"}
    assert found[1]["event_id"] == f"{found[0]['event_id']}:manager.delegation_started"


def test_agents_by_themselves_and_managers_are_seen() -> None:
    bench = Bench(has_begun=False)
    info = {"id": "a1", "role": "Captain"}
    start, agent = event("lite_agent_execution_started", agent_info=info), SimpleNamespace()
    bench.record(start, source=agent)
    bench.record(
        event("lite_agent_execution_completed", None, start, agent_info=info, output="ok"), source=agent
    )
    found = bench.taken()
    assert [each["event_type"] for each in found] == [
        "execution.started", "agent.started", "agent.completed", "execution.completed",
    ]  # fmt: skip
    assert {each["agent_id"] for each in found} == {"a1"}
    assert found[-1]["data"]["result"] == "ok"

    crew = Crew()
    manager = SimpleNamespace(crew=crew)
    crew.manager_agent = manager
    bench.record(event("agent_logs_execution", formatted_answer=SimpleNamespace(tool="t")), source=manager)
    assert bench.taken()[1]["data"] == {"decision": "t"}


def test_threads_of_one_execution_share_its_sequence() -> None:
    bench = Bench()

    def work() -> None:
        for _ in range(100):
            bench.record(event("task_started"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [each["sequence"] for each in bench.taken()] == list(range(1, 801))
