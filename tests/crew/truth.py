"""What the bus emitted, compared with what the stream holds."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from tests.crew.stored import Stored

CHUNKS = {"llm_stream_chunk", "llm_thinking_chunk"}
FLOW_EVENTS = ("flow_", "method_execution_", "conversation_")


def is_noise(emitted: dict[str, Any]) -> bool:
    """What CrewAI's machinery does with flows of its own, and what the environment is."""
    internal = emitted["internal"] and str(emitted["type"]).startswith(FLOW_EVENTS)
    return bool(internal) or emitted["type"] == "default_env"


def assert_complete(emitted: Iterable[dict[str, Any]], stored: Iterable[Stored]) -> None:
    """Nothing is missing, nothing is there twice, and nothing is there that was not emitted."""
    emitted = [event for event in emitted if not is_noise(event)]
    stored = list(stored)
    ids = [message.event["event_id"] for message in stored]
    assert len(ids) == len(set(ids)), "an event is stored twice"
    whole = {event["event_id"] for event in emitted if event["type"] not in CHUNKS}
    assert whole - set(ids) == set(), "events are missing"
    sources = {event["event_id"] for event in emitted}
    assert {message.crewai["event_id"] for message in stored} <= sources, "events come from nowhere"
    assert _chunks_emitted(emitted) == _chunks_stored(stored)


def _chunks_emitted(emitted: list[dict[str, Any]]) -> dict[str, tuple[int, str]]:
    texts = defaultdict(list)
    for event in emitted:
        if event["type"] in CHUNKS:
            texts[event["call"]].append(event["chunk"])
    return {call: (len(chunks), "".join(chunks)) for call, chunks in texts.items()}


def _chunks_stored(stored: list[Stored]) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for message in stored:
        if message.type == "llm.chunk":
            data = message.event["data"]
            count, text = found.get(data["call_id"], (0, ""))
            found[data["call_id"]] = (count + data["chunks"], text + data["text"])
    return found


def assert_dense(stored: Iterable[Stored]) -> None:
    """In the stream's order, the sequence of each worker's part of an execution is 1, 2, 3 and so on."""
    seen: Counter[tuple[str, str]] = Counter()
    for message in stored:
        execution, worker = message.event.get("execution_id"), message.worker
        if execution is not None:
            assert worker is not None
            seen[execution, worker] += 1
            assert message.event["sequence"] == seen[execution, worker], message.subject
    assert seen


def assert_in_order(emitted: Iterable[dict[str, Any]], stored: Iterable[Stored]) -> None:
    """What each thread emitted is stored in the order in which it did."""
    place = {message.event["event_id"]: index for index, message in enumerate(stored)}
    last: dict[int, int] = {}
    for event in emitted:
        if event["event_id"] in place:
            index = place[event["event_id"]]
            assert index > last.get(event["thread"], -1), event["type"]
            last[event["thread"]] = index
