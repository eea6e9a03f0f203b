"""From an event to the outbox, with small events of the tests' own in the place of CrewAI's."""

import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.crew.content import Data
from bridge.crew.draft import Policy
from bridge.crew.journal import Journal
from bridge.crew.ledger import Ledger
from bridge.crew.mapping import TABLE
from bridge.crew.outbox import Outbox
from bridge.crew.recorder import Recorder
from contracts import WebSocketEvent
from tests.waiting import eventually

OPENING = frozenset(
    {"crew_kickoff_started", "flow_started", "llm_call_started", "tool_usage_started", "task_started"}
)
START = datetime(2026, 1, 1, tzinfo=UTC)
numbers = count()


class Event(SimpleNamespace):
    """As CrewAI's base class: what is not given is None."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return None


def event(kind: str, within: Any = None, ends: Any = None, **fields: Any) -> Any:
    number = next(numbers)
    return Event(
        type=kind,
        event_id=f"{kind}-{number}",
        parent_event_id=within and within.event_id,
        started_event_id=ends and ends.event_id,
        emission_sequence=number,
        timestamp=START + timedelta(milliseconds=number),
        **fields,
    )


class Crew:
    id = "crew-1"
    name = "Crew"
    key = "k"
    process = "sequential"
    tasks: tuple[Any, ...] = ()
    agents: tuple[Any, ...] = ()
    manager_agent: Any = None


@dataclass
class Bench:
    """A recorder whose outbox can be read."""

    policy: Policy = field(default_factory=Policy)
    execution: str | None = "e1"
    knows_executions: bool = True

    def __post_init__(self) -> None:
        self.outbox = Outbox()
        self.journal = Journal(self.outbox, self.policy)
        self.ended = 0
        read = (lambda: self.execution) if self.knows_executions else None
        self.recorder = Recorder(Ledger(read, OPENING), self.journal, self.policy, self._end)

    def _end(self) -> None:
        self.ended += 1

    def record(self, *events: Any, source: Any = None) -> None:
        for each in events:
            self.recorder.record(source, each)
        assert self.recorder.failures == 0

    def taken(self) -> list[dict[str, Any]]:
        messages, _ = self.outbox.take(10_000)
        for message in messages:
            WebSocketEvent.from_json(message.payload)
        return [json.loads(message.payload) for message in messages]

    def types(self) -> list[str]:
        return [each["event_type"] for each in self.taken()]


@pytest.mark.parametrize("kind", sorted(TABLE))
@pytest.mark.parametrize("content", ["none", "cut", "full"])
def test_every_row_makes_a_valid_event_even_of_an_event_that_says_nothing(kind: str, content: Any) -> None:
    bench = Bench(Policy(content=content))
    bench.record(event(kind), source=Crew())

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
    bench = Bench()
    bench.recorder.record(object(), event("crew_kickoff_started"))
    crew = Crew()
    crew.agents = None  # type: ignore[assignment]
    bench.recorder.record(crew, event("crew_kickoff_started"))

    assert bench.types()[:2] == ["execution.started", "crew.started"]
    assert bench.recorder.failures == 1


def test_an_event_outside_of_any_execution_has_no_sequence() -> None:
    bench = Bench(execution=None)
    bench.record(event("flow_created", flow_name="F"))

    (found,) = bench.taken()
    assert "sequence" not in found
    assert "execution_id" not in found


def test_chunks_of_a_call_are_joined_and_keep_their_place() -> None:
    bench = Bench()
    call = event("llm_call_started", call_id="c1")
    bench.record(call)
    chunks = [event("llm_stream_chunk", call, call_id="c1", chunk=text) for text in ("a", "b", "c")]
    bench.record(*chunks, event("llm_call_completed", None, call, call_id="c1"))

    started, chunk, completed = bench.taken()
    assert (started["event_type"], completed["event_type"]) == ("llm.call_started", "llm.call_completed")
    assert chunk["event_id"] == chunks[0].event_id
    assert chunk["data"] == {"text": "abc", "call_id": "c1", "kind": "text", "chunks": 3, "chars": 3}
    assert [started["sequence"], chunk["sequence"], completed["sequence"]] == [1, 2, 3]


def test_thoughts_and_answers_of_one_call_are_not_mixed() -> None:
    bench = Bench(Policy(content="none"))
    bench.record(
        event("llm_thinking_chunk", call_id="c1", chunk="hm"),
        event("llm_stream_chunk", call_id="c1", chunk="so"),
        event("llm_thinking_chunk", call_id="c1", chunk="hm"),
        event("llm_call_completed", call_id="c1"),
    )

    chunks = [each["data"] for each in bench.taken()[:2]]
    assert [(data["kind"], data["chunks"], data["chars"], data["text"]) for data in chunks] == [
        ("thinking", 2, 4, ""),
        ("text", 1, 2, ""),
    ]


@pytest.mark.parametrize("odd", ["\ud83d", None, b"\xff"])
def test_a_chunk_that_is_no_text_costs_no_other_event(odd: Any) -> None:
    bench = Bench()
    bench.record(
        event("llm_stream_chunk", call_id="c1", chunk="a"),
        event("llm_stream_chunk", call_id="c1", chunk=odd),
        event("llm_call_completed", call_id="c1"),
    )

    chunk, completed = bench.taken()[:2]
    assert (chunk["data"]["text"][0], chunk["data"]["chunks"]) == ("a", 2)
    assert completed["event_type"] == "llm.call_completed"


def test_a_window_closes_by_itself_and_when_it_holds_much() -> None:
    bench = Bench()
    bench.record(event("llm_stream_chunk", call_id="c1", chunk="x"))
    due = bench.journal.close_due()
    assert due is not None
    assert 0 < due <= 0.1
    eventually(lambda: bench.journal.close_due() is None)
    assert bench.types() == ["llm.chunk"]

    bench.record(event("llm_stream_chunk", call_id="c1", chunk="x" * 20_000))
    assert bench.types() == ["llm.chunk"]


def test_windows_can_be_closed_before_their_time() -> None:
    bench = Bench(execution=None)
    bench.record(
        event("llm_stream_chunk", call_id="c1", chunk="x"), event("llm_stream_chunk", call_id="c2", chunk="y")
    )
    bench.journal.close_all()

    assert bench.types() == ["llm.chunk", "llm.chunk"]


def test_an_event_of_another_execution_does_not_close_a_window() -> None:
    bench = Bench()
    bench.record(event("llm_stream_chunk", call_id="c1", chunk="x"))
    bench.execution = "e2"
    bench.record(event("flow_created"))

    assert bench.types() == ["custom.flow_created"]


def test_an_internal_flow_is_transparent() -> None:
    bench = Bench()
    internal = SimpleNamespace(suppress_flow_events=True)
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
    bench = Bench()
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
    bench = Bench()
    flow, source = event("flow_started"), SimpleNamespace()
    bench.record(flow, source=source)
    bench.record(event("flow_paused", None, flow, method_name="ask", message="well?"), source=source)

    assert bench.types() == ["execution.started", "flow.started", "flow.paused"]
    assert bench.ended == 1
    bench.recorder.fail_open_runs("over")
    assert bench.types() == []


def test_runs_that_are_open_can_be_failed_and_take_nothing_more() -> None:
    bench = Bench()
    start = event("crew_kickoff_started")
    bench.record(start, source=Crew())
    bench.taken()
    bench.recorder.fail_open_runs("over")
    bench.record(event("task_started", start))

    (failed,) = bench.taken()
    assert (failed["event_id"], failed["priority"]) == (f"{start.event_id}:execution.failed", "high")
    assert failed["data"] == {"error": "over", "error_type": "ProcessEnded"}
    assert failed["crew_id"] == "crew-1"


def test_of_runs_that_never_end_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.crew.ledger._MAX_EXECUTIONS", 3)
    bench = Bench()
    for number in range(10):
        bench.execution = f"e{number}"
        bench.record(event("crew_kickoff_started"), source=Crew())

    assert [execution for execution, _ in bench.recorder.ledger.open_runs()] == ["e7", "e8", "e9"]


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
    bench = Bench()
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


def test_an_unknown_class_passes_with_its_scalars() -> None:
    class Paid(Event):
        model_fields = ("amount", "api_key", "note", "holder", "event_id", "type")

    paid = Paid(**vars(event("invoice paid!", amount=3, api_key="sk-1", note="n" * 9_000, holder=object())))
    bench = Bench()
    bench.record(paid)

    (found,) = bench.taken()
    assert found["event_type"] == "custom.invoice_paid"
    assert set(found["data"]) == {"amount", "note", "cut"}


def test_the_child_of_a_fork_counts_no_execution_of_its_parent() -> None:
    bench = Bench()
    bench.record(event("task_started"))
    ledger = bench.recorder.ledger.forked()
    bench.journal.inherited = bench.journal.executions
    bench.taken()
    bench.recorder.ledger = ledger
    bench.record(event("task_started"))

    assert "sequence" not in bench.taken()[0]


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
