"""Chunks of streamed answers are joined, and keep their place."""

from typing import Any

import pytest

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
    bench.record(event("flow_created"))

    assert bench.types() == ["custom.flow_created"]
