"""Chunks of streamed answers are joined, and keep their place."""

import sys
from types import FrameType
from typing import Any

import pytest

from bridge.crew.content import Data
from bridge.crew.draft import Policy
from tests.crew.bench import Bench, event
from tests.waiting import eventually


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
    bench.recorder.ledger.resume("e2")
    bench.record(event("flow_plot"))

    assert bench.types() == ["custom.flow_plot"]


SECRET = "sk-a1b2c3d4e5f6g7h8i9j0"


def stream(bench: Bench, *texts: str, call: str = "c1") -> None:
    bench.record(*(event("llm_stream_chunk", call_id=call, chunk=text) for text in texts))


def wait_for_a_window(bench: Bench) -> None:
    waiting = len(bench.outbox)
    eventually(lambda: (bench.journal.close_due(), len(bench.outbox) > waiting)[1])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("the key is ", SECRET[:9]), (SECRET[9:], " for you")),
        (("password: ",), ("hunter", "22 ", "for you")),
        (('{"password": "horse ',), ('battery", ', '"n": 1}')),
        (("-----BEGIN PRIVATE KEY-----\nMIIE\n",), ("AbCd\n-----END PRIVATE KEY-----",)),
    ],
)
def test_a_secret_that_comes_in_two_windows_is_in_neither(
    first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    bench = Bench()
    stream(bench, *first)
    wait_for_a_window(bench)
    stream(bench, *second)
    bench.record(event("llm_call_completed", call_id="c1"))

    chunks = [each["data"] for each in bench.taken() if each["event_type"] == "llm.chunk"]
    text = "".join(data["text"] for data in chunks)
    assert "[redacted]" in text
    assert not any(
        part in text for part in ("sk-", "a1b2", "g7h8", "hunter", "22", "horse", "battery", "AbCd")
    )
    assert sum(data["chunks"] for data in chunks) == len(first + second)
    assert sum(data["chars"] for data in chunks) == sum(map(len, first + second))


def test_a_window_that_ends_within_a_word_keeps_its_beginning_for_the_next() -> None:
    bench = Bench()
    chunks = [event("llm_stream_chunk", call_id="c1", chunk=text) for text in ("one", " tw", "o", " three")]
    bench.record(*chunks[:2])
    wait_for_a_window(bench)
    bench.record(*chunks[2:])
    bench.record(event("llm_call_completed", call_id="c1"))

    first, second = bench.taken()[:2]
    assert (first["data"]["text"], second["data"]["text"]) == ("one", " two three")
    assert (first["event_id"], second["event_id"]) == (chunks[0].event_id, chunks[1].event_id)
    assert second["metadata"]["crewai"]["event_id"] == chunks[1].event_id


def test_a_word_without_an_end_is_published_in_the_end() -> None:
    bench = Bench()
    stream(bench, "wo", "rd")
    wait_for_a_window(bench)

    (chunk,) = bench.taken()
    assert chunk["data"]["text"] == "word"


@pytest.mark.parametrize(("content", "limit"), [("cut", 2_000), ("full", 100_000)])
def test_of_an_answer_its_chunks_let_out_as_much_as_its_end_does(content: Any, limit: int) -> None:
    bench = Bench(Policy(content=content))
    for _ in range(12):
        stream(bench, "word " * 2_000)
        bench.journal.close_all()

    chunks = [each["data"] for each in bench.taken()]
    assert "".join(data["text"] for data in chunks) == ("word " * 24_000)[:limit]
    assert [data["chars"] for data in chunks] == [10_000] * 12
    assert chunks[-1]["cut"] == {"text": 10_000}


def test_an_event_in_the_middle_of_another_as_a_signals_handler_emits_it_comes_behind_it() -> None:
    bench = Bench()
    handled: list[bool] = []

    def in_the_middle(frame: FrameType, happening: str, _: object) -> None:
        if happening == "return" and frame.f_code.co_name == "_stamped" and not handled:
            handled.append(True)
            bench.recorder.record(None, event("SIGTERM"))

    sys.setprofile(in_the_middle)
    try:
        bench.record(event("tool_usage_started"), event("tool_usage_finished"))
    finally:
        sys.setprofile(None)

    taken = bench.taken()
    assert [each["sequence"] for each in taken] == [1, 2, 3]
    assert [each["event_type"] for each in taken] == ["tool.started", "system.shutdown", "tool.finished"]


def test_a_redaction_hook_that_emits_an_event_costs_no_chunk() -> None:
    def redact(event_type: str, data: Data) -> Data:
        if event_type == "llm.chunk" and not told:
            told.append(True)
            bench.recorder.record(None, event("flow_plot"))
        return data

    told: list[bool] = []
    bench = Bench(Policy(redact=redact))
    stream(bench, "one", call="c1")
    stream(bench, "two", call="c2")
    bench.record(event("flow_plot"))

    taken = bench.taken()
    assert {each["data"].get("text") for each in taken} == {None, "one", "two"}
    assert [each["sequence"] for each in taken] == [1, 2, 3, 4]
