"""A crew in every mode that CrewAI has: what its bus emitted is what the stream holds."""

from pathlib import Path

import pytest

from tests.crew.recorded import Run, run_modes
from tests.crew.stored import Stored
from tests.crew.truth import assert_complete, assert_dense, assert_in_order

SECRETS = (b"sk-SENTINEL-3f9a1c7e", b"horse-battery-9f81")
MODES = [
    "sequential", "hierarchical", "failing_task", "flow", "failing_flow", "streaming",
    "memory", "kickoff_async", "akickoff", "kickoff_for_each", "guardrail_retry",
    "tool_error", "custom_event", "threads", "huge", "hostile", "namesakes",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(crewai_python: str, stream_url: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_modes(crewai_python, stream_url, tmp_path_factory.mktemp("modes"))


@pytest.mark.parametrize("name", MODES)
def test_the_stream_holds_once_and_in_order_what_the_bus_emitted(run: Run, name: str) -> None:
    mode = run.mode(name)

    assert mode.emitted
    assert_complete(mode.emitted, mode.stored)
    assert_in_order(mode.emitted, mode.stored)


def test_every_execution_counts_its_events_without_a_hole(run: Run) -> None:
    assert_dense(run.stored)


def test_the_key_of_a_model_and_the_passwords_of_tools_are_found_nowhere(run: Run) -> None:
    assert _telling(run.stored) == []


def _telling(stored: list[Stored]) -> list[str]:
    """The messages that hold a secret."""
    return [found.subject for found in stored if any(secret in found.payload for secret in SECRETS)]


def test_an_event_keeps_the_id_that_crewai_gave_it_and_says_what_it_was(run: Run) -> None:
    emitted = {event["event_id"]: event for event in run.emitted}
    for message in run.stored:
        names = message.crewai
        assert emitted[names["event_id"]]["type"] == names["type"]
        assert emitted[names["event_id"]]["emission_sequence"] == names["emission_sequence"]
        assert message.event["event_id"] == names["event_id"] or message.event["event_id"].startswith(
            f"{names['event_id']}:{message.type}"
        )


@pytest.mark.parametrize("name", [name for name in MODES if name not in {"failing_task", "failing_flow"}])
def test_an_execution_begins_once_and_is_completed_once_as_the_last_of_its_events(
    run: Run, name: str
) -> None:
    by_execution: dict[str, list[str]] = {}
    for message in run.mode(name).stored:
        if execution := message.event.get("execution_id"):
            by_execution.setdefault(execution, []).append(message.type)

    assert by_execution
    for types in by_execution.values():
        assert types[0] == "execution.started"
        assert types[-1] == "execution.completed"
        assert types.count("execution.started") == types.count("execution.completed") == 1


def test_a_crew_shows_itself_its_agents_and_its_progress(run: Run) -> None:
    mode = run.mode("sequential")

    assert mode.types()[:3] == ["execution.started", "crew.created", "agent.created"]
    assert [data["progress"] for data in mode.data("execution.progress")] == [0.5, 1.0]
    assert mode.data("execution.started")[0]["inputs"] == {"topic": "tides", "password": "[redacted]"}
    assert mode.data("tool.started")[0]["arguments"] == {"topic": "tides"}
    assert len({message.event["crew_id"] for message in mode.stored}) == 1


def test_a_crew_is_called_as_its_author_named_it_else_by_what_it_is(run: Run) -> None:
    def names(mode: str) -> list[str]:
        return list(dict.fromkeys(str(message.event["crew_id"]) for message in run.mode(mode).stored))

    def objects(mode: str) -> set[str]:
        return {message.crewai["crew_id"] for message in run.mode(mode).stored}

    keys = [data["key"] for data in run.mode("namesakes").data("crew.created")]
    assert names("sequential") == ["Sea"]
    assert names("namesakes") == list(dict.fromkeys(keys))
    assert (len(names("namesakes")), len(objects("namesakes"))) == (2, 3)
    assert (len(names("kickoff_for_each")), len(objects("kickoff_for_each"))) == (1, 3)


def test_everything_within_a_task_names_the_task_and_its_agent(run: Run) -> None:
    within = [m for m in run.mode("sequential").stored if m.type.startswith(("llm.", "tool.", "task."))]

    assert within
    assert all(
        m.event.get("task_id") and m.event.get("agent_id") and m.event.get("parent_id") for m in within
    )


def test_parents_are_events_that_are_in_the_stream(run: Run) -> None:
    ids = {message.event["event_id"] for message in run.stored}

    assert not [m.subject for m in run.stored if m.event.get("parent_id") and m.event["parent_id"] not in ids]


def test_a_manager_delegates_asks_and_decides(run: Run) -> None:
    mode = run.mode("hierarchical")

    assert mode.data("manager.delegation_started") == [
        {"to_agent": "Researcher", "task": "look", "context": "now"}
    ]
    assert [data["message"] for data in mode.data("manager.coordination_update")] == [
        "it is done",
        "well?",
        "it is done",
    ]
    assert [data["decision"] for data in mode.data("manager.decision_made")][-1] == "answer"


def test_a_failing_task_fails_its_execution(run: Run) -> None:
    mode = run.mode("failing_task")

    assert mode.types()[-2:] == ["task.failed", "execution.failed"]
    assert mode.data("execution.failed")[0]["error"] == "the model is down"


def test_a_flow_is_the_execution_and_its_crew_a_part_of_it(run: Run) -> None:
    mode = run.mode("flow")

    assert mode.types()[:3] == ["execution.started", "custom.flow_created", "flow.started"]
    assert {"crew.started", "crew.completed", "flow.method_completed"} <= set(mode.types())
    assert mode.types()[-2:] == ["flow.completed", "execution.completed"]
    assert run.mode("failing_flow").types()[-1] == "execution.failed"


def test_chunks_come_between_the_beginning_and_the_end_of_their_call(run: Run) -> None:
    mode = run.mode("streaming")
    first = next(m for m in mode.stored if m.type == "llm.chunk")
    calls = [m.type for m in mode.stored if m.event["data"].get("call_id") == first.event["data"]["call_id"]]

    assert (calls[0], calls[-1]) == ("llm.call_started", "llm.call_completed")
    assert set(calls[1:-1]) == {"llm.chunk"}
    assert first.headers["Nats-TTL"] == "300"


def test_memory_guardrails_and_failing_tools_have_their_types(run: Run) -> None:
    assert {"memory.stored", "memory.retrieved"} <= set(run.mode("memory").types())
    assert {"guardrail.failed", "guardrail.passed"} <= set(run.mode("guardrail_retry").types())
    assert run.mode("tool_error").data("tool.failed")[0]["error_type"] == "ValueError"


def test_a_class_that_nobody_knows_passes_with_its_scalars_and_without_its_secrets(run: Run) -> None:
    outside, inside = (m for m in run.mode("custom_event").stored if m.type == "custom.invoice_paid")

    assert outside.event["data"] == {"amount": 12}
    assert inside.event["data"] == {"amount": 7}
    assert inside.event["sequence"] > 1


def test_what_a_crew_does_to_the_tap_is_told_without_its_secrets(run: Run) -> None:
    mode = run.mode("hostile")

    (failed,) = mode.data("tool.failed")
    assert failed["error"].startswith("401 for https://x/?api_key=[redacted]")
    assert mode.data("tool.started")[0]["arguments"]["options"] == {"nested": {"client_secret": "[redacted]"}}
    result = mode.data("flow.completed")[0]["result"]
    assert (result["summary"], result["model"]) == ("done", "<ScriptedModel>")
    assert result["url"] == "https://[redacted]@example.com/?sig=[redacted]"
    assert mode.types().count("custom.shouted") == 4 + 4 * 20


def test_texts_are_cut_and_say_how_long_they_were(run: Run) -> None:
    mode = run.mode("huge")

    completed = mode.data("execution.completed")[0]
    assert len(completed["result"]) == 2_000
    assert completed["cut"] == {"result": 3_000_000}
    assert mode.data("execution.started")[0]["cut"] == {"inputs.topic": 900_000}
    assert max(len(message.payload) for message in mode.stored) < 10_000


def test_a_listener_instead_of_wrapping_loses_nothing_but_the_order(
    crewai_python: str, stream_url: str, tmp_path: Path
) -> None:
    modes = run_modes(
        crewai_python, stream_url, tmp_path, "--listener", "sequential", "threads", "tool_error"
    )

    assert_complete(modes.emitted, modes.stored)
    assert_dense(modes.stored)


@pytest.fixture(scope="module")
def old_run(old_crewai_python: str, stream_url: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_modes(old_crewai_python, stream_url, tmp_path_factory.mktemp("old"))


@pytest.mark.parametrize("name", MODES)
def test_crewai_1_14_7_is_recorded_as_well(old_run: Run, name: str) -> None:
    mode = old_run.mode(name)

    assert_complete(mode.emitted, mode.stored)
    assert_in_order(mode.emitted, mode.stored)


def test_without_execution_ids_the_outermost_event_is_the_execution(old_run: Run) -> None:
    assert_dense(old_run.stored)
    assert len({m.event["execution_id"] for m in old_run.mode("threads").stored}) == 8
    assert len({m.event.get("execution_id") for m in old_run.mode("flow").stored} - {None}) == 1
    assert _telling(old_run.stored) == []
