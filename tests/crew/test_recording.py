"""From an event to the outbox: what is published of it, and what is not."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.crew.content import Data
from bridge.crew.draft import Policy
from bridge.crew.mapping import TABLE
from tests.crew.bench import Bench, Crew, Event, event


@pytest.mark.parametrize("kind", sorted(TABLE))
@pytest.mark.parametrize("content", ["none", "cut", "full"])
def test_every_row_makes_a_valid_event_even_of_an_event_that_says_nothing(kind: str, content: Any) -> None:
    bench = Bench(Policy(content=content))
    bench.record(event(kind), source=Crew())
    bench.recorder.publish_announcements()

    assert bench.taken()[0]["metadata"]["crewai"]["type"] == kind


def test_names_in_the_table_keep_to_their_family() -> None:
    bench = Bench()
    for kind in TABLE:
        if "failed" in kind or "error" in kind:
            bench.record(event(kind))
    assert all(each["priority"] in {"high", "critical"} for each in bench.taken())


def test_prompts_and_answers_are_published_as_the_policy_says() -> None:
    call = {"messages": [{"role": "user", "content": "q" * 9_000}], "response": "r" * 9_000, "model": "m"}

    def data(content: Any) -> list[Data]:
        bench = Bench(Policy(content=content))
        bench.record(event("llm_call_started", **call), event("llm_call_completed", **call))
        return [each["data"] for each in bench.taken()][:2]

    assert data("none") == [
        {"model": "m", "prompt_chars": 9_000},
        {"model": "m", "cut": {"response": 9_000}},
    ]
    started, completed = data("cut")
    assert "messages" not in started
    assert (len(completed["response"]), completed["cut"]) == (2_000, {"response": 9_000})
    started, completed = data("full")
    assert len(started["messages"][0]["content"]) == len(completed["response"]) == 9_000


@pytest.mark.parametrize(
    ("result", "published"),
    [
        ("done", "done"),
        ({"rows": [1, None], "api_key": "k"}, {"rows": [1, None], "api_key": "[redacted]"}),
        (["a", 2.5], ["a", 2.5]),
        (False, False),
        (SimpleNamespace(raw="the answer"), "the answer"),
        (SimpleNamespace(api_key="k"), "<SimpleNamespace>"),
    ],
)
def test_an_outcome_is_a_text_or_what_lists_and_objects_say(result: Any, published: Any) -> None:
    bench = Bench()
    bench.record(event("flow_finished", result=result), event("tool_usage_finished", output=result))

    assert [each["data"]["result"] for each in bench.taken()][0::2] == [published, published]


def test_what_is_still_too_large_becomes_a_stub() -> None:
    bench = Bench(Policy(content="full", max_event_bytes=10_000))
    bench.record(event("tool_usage_finished", tool_name="t", output="x" * 50_000))

    (found,) = bench.taken()
    assert found["data"]["tool"] == "t"
    assert found["data"]["too_large"] > 50_000
    assert len(json.dumps(found)) < 2_000


def test_the_redaction_hook_has_the_last_word() -> None:
    def redact(event_type: str, data: Data) -> Data:
        return {**data, "result": f"{event_type}: hidden"}

    bench = Bench(Policy(redact=redact))
    bench.record(event("tool_usage_finished", tool_name="t", output="private"))

    assert bench.taken()[0]["data"]["result"] == "tool.finished: hidden"


def test_a_redaction_hook_that_fails_lets_no_text_pass() -> None:
    def redact(_: str, data: Data) -> Data:
        raise KeyError("no")

    bench = Bench(Policy(redact=redact))
    bench.record(event("tool_usage_finished", tool_name="t", output="private", from_cache=True))

    assert bench.taken()[0]["data"] == {"result": "[redacted]", "from_cache": True, "tool": "[redacted]"}


@pytest.mark.parametrize("returned", [None, "text", {"object": object()}, {"text": "\ud800"}])
def test_a_redaction_hook_that_returns_no_data_lets_no_text_pass(returned: Any) -> None:
    bench = Bench(Policy(redact=lambda *_: returned))
    bench.record(event("tool_usage_finished", tool_name="t", output="private"))

    assert bench.taken()[0]["data"] == {"result": "[redacted]", "tool": "[redacted]"}


def test_a_field_that_raises_when_it_is_read_is_left_out() -> None:
    class Sly(Event):
        @property
        def output(self) -> str:
            raise RuntimeError("not now")

        agent = task_id = task = output

    bench = Bench()
    bench.record(Sly(**vars(event("tool_usage_finished", tool_name="t"))))

    assert bench.taken()[0]["data"] == {"tool": "t"}


def test_of_an_event_that_cannot_be_mapped_it_is_said_that_it_was() -> None:
    class Arguments(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError("not now")

    bench = Bench()
    odd = event("tool_usage_started", tool_name="t", tool_args=Arguments(a=1))
    bench.recorder.record(None, odd)

    (found,) = bench.taken()
    assert (found["event_type"], found["event_id"]) == ("custom.tool_usage_started", odd.event_id)
    assert (found["data"], found["sequence"]) == ({"unreadable": "RuntimeError"}, 1)
    assert bench.recorder.failures == 1


def test_secrets_in_texts_and_in_streamed_answers_are_hidden() -> None:
    key = "sk-a1b2c3d4e5f6g7h8i9j0"
    bench = Bench(Policy(content="full"))
    bench.record(
        event("llm_stream_chunk", call_id="c1", chunk=key[:9]),
        event("llm_stream_chunk", call_id="c1", chunk=key[9:]),
        event("tool_usage_error", tool_name="t", error=ValueError(f"401 for {key}")),
        event("tool_usage_started", tool_name="t", tool_args={"note": key}),
        event("crew_kickoff_started", inputs={"note": [key]}),
        event("agent_execution_started", tools=[SimpleNamespace(name=key), SimpleNamespace(name="\ud800")]),
    )

    assert key not in json.dumps(bench.taken())


def test_an_event_that_cannot_be_read_is_counted_and_no_concern_of_the_crew() -> None:
    bench = Bench()
    bench.recorder.record(None, object())

    assert bench.recorder.failures == 1


def test_trouble_with_what_follows_from_an_event_does_not_lose_the_event() -> None:
    bench = Bench(has_begun=False)
    bench.recorder.record(object(), event("crew_kickoff_started"))
    crew = Crew()
    crew.agents = None  # type: ignore[assignment]
    bench.recorder.record(crew, event("crew_kickoff_started"))

    assert bench.types()[:2] == ["execution.started", "crew.started"]
    assert bench.recorder.failures == 1


def test_an_unknown_class_passes_with_its_scalars() -> None:
    class Paid(Event):
        model_fields = ("amount", "api_key", "note", "holder", "event_id", "type")

    paid = Paid(**vars(event("invoice paid!", amount=3, api_key="sk-1", note="n" * 9_000, holder=object())))
    bench = Bench()
    bench.record(paid)

    (found,) = bench.taken()
    assert found["event_type"] == "custom.invoice_paid"
    assert set(found["data"]) == {"amount", "note", "cut"}
