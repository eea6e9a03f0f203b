"""A call of a tool has one ending, whatever CrewAI says of it."""

from typing import Any

import pytest

from tests.crew.bench import Bench, event


class ByText:
    """What makes one call by CrewAI's text protocol."""

    _max_parsing_attempts = 3


class Natively:
    """What makes all calls of an agent by the protocol of its model."""


def failure(message: str = "no") -> Any:
    return event("failure", message=message)


def of(kind: str, tool: str = "look_up", **fields: Any) -> Any:
    return event(kind, tool_name=tool, agent_id="a1", **fields)


def test_a_tool_that_raises_natively_has_failed_at_once() -> None:
    bench, source = Bench(), Natively()
    bench.record(of("tool_usage_started"), of("tool_usage_error", error="no"), source=source)
    bench.record(of("tool_failure_detected", "Look up", failure=failure()))

    assert bench.types() == ["tool.started", "tool.failed", "custom.tool_failure_detected"]


def test_of_calls_at_once_each_has_an_ending() -> None:
    bench, source = Bench(), Natively()
    bench.record(*(of("tool_usage_started") for _ in range(3)), source=source)
    bench.record(of("tool_usage_error", error="no"), of("tool_usage_error", error="no"), source=source)
    bench.record(of("tool_usage_finished", output="yes"), source=source)
    bench.record(*(of("tool_failure_detected", failure=failure()) for _ in range(2)))

    types = bench.types()
    assert (types.count("tool.failed"), types.count("tool.finished")) == (2, 1)


def test_a_failure_that_nothing_else_tells_is_the_ending() -> None:
    """A model that asks natively for what cannot be parsed."""
    bench = Bench()
    bench.record(of("tool_failure_detected", failure=failure("not JSON")))

    (found,) = bench.taken()
    assert (found["event_type"], found["data"]["error"]) == ("tool.failed", "not JSON")


def test_the_next_call_begins_anew_even_in_the_same_place_of_memory() -> None:
    bench = Bench()
    for _ in range(20):
        bench.record(of("tool_selection_error", error="no"), source=ByText())
        bench.record(of("tool_failure_detected", failure=failure()))

    assert bench.types() == ["tool.failed", "custom.tool_failure_detected"] * 20


def test_a_call_whose_tool_was_first_looked_for_in_vain_starts_all_the_same() -> None:
    bench, source = Bench(), ByText()
    bench.record(of("tool_selection_error", "dig", error="no"), source=source)
    bench.record(of("tool_usage_started", run_attempts=2), source=source)
    bench.record(of("tool_usage_finished", run_attempts=2, output="yes"), source=source)

    assert bench.types() == ["tool.failed", "tool.started", "tool.finished"]


def test_an_attempt_at_delegating_is_no_second_delegation() -> None:
    bench, source = Bench(), ByText()
    name, arguments = "delegate_work_to_coworker", {"coworker": "R", "task": "t"}
    for attempt in (1, 2):
        bench.record(of("tool_usage_started", name, tool_args=arguments, run_attempts=attempt), source=source)
        bench.record(of("tool_usage_error", name, error="no", run_attempts=attempt), source=source)

    assert bench.types().count("manager.delegation_started") == 1


@pytest.mark.parametrize("kind", ["tool_usage_started", "tool_selection_error", "tool_usage_error"])
def test_of_calls_that_never_end_only_so_many_are_remembered(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.crew.calls._MAX_CALLS", 3)
    bench = Bench()
    sources = [ByText() for _ in range(10)]
    for number, source in enumerate(sources):
        bench.record(of(kind, f"tool {number}", error="no"), source=source)

    assert len(bench.recorder.ledger._calls._open) <= 3
    assert len(bench.recorder.ledger._calls._failed) <= 3
