"""Frames, and entries made of them: what a browser's parser reads is what was put in."""

import json
from collections.abc import Generator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions import Extension
from websockets.frames import Frame
from websockets.streams import StreamReader

from bridge.core.connection import encode
from bridge.core.deflate import inflated
from bridge.core.entry import Entry
from bridge.core.frames import Opcode, array_frame, frame, payload_of, split
from bridge.core.view import View
from contracts.messages import Gap
from tests.core.parts import event, frames

LENGTHS = [0, 1, 125, 126, 127, 65_535, 65_536, 300_000]


def parsed(data: bytes, extensions: Sequence[Extension] = ()) -> Frame:
    """What the websockets library reads, as a client."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    parser: Generator[None, None, Frame] = Frame.parse(reader.read_exact, mask=False, extensions=extensions)
    with pytest.raises(StopIteration) as end:
        next(parser)
    at_end: Generator[None, None, bool] = reader.at_eof()
    with pytest.raises(StopIteration) as rest:
        next(at_end)
    assert rest.value.value is True, "something is left over"
    found = end.value.value
    assert isinstance(found, Frame)
    return found


@pytest.mark.parametrize(
    ("opcode", "length"),
    [
        *((Opcode.TEXT, length) for length in LENGTHS),
        (Opcode.PING, 0),
        (Opcode.PING, 125),
        (Opcode.PONG, 125),
    ],
)
def test_a_frame_is_read_by_an_independent_parser(opcode: Opcode, length: int) -> None:
    payload = b"x" * length

    found = parsed(frame(payload, opcode))

    assert (found.fin, int(found.opcode), bytes(found.data)) == (True, opcode, payload)


@pytest.mark.parametrize("length", LENGTHS)
def test_the_payload_of_a_frame_is_what_was_framed(length: int) -> None:
    payload = bytes(length % 256 for length in range(length))

    assert payload_of(frame(payload)) == payload
    assert list(frames(frame(payload))) == [payload]


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers()), max_size=5))
def test_an_array_frame_is_a_json_array(objects: list[dict[str, int]]) -> None:
    data = array_frame(json.dumps(one).encode() for one in objects)

    assert json.loads(bytes(parsed(data).data)) == objects


def test_entries_become_one_frame_each_or_one_array() -> None:
    entries = [event(3), event(4, size=70_000)]

    assert [json.loads(one)["seq"] for one in frames(encode(entries, View(frozenset())))] == [3, 4]
    [array] = frames(encode(entries, View(frozenset(), batch=True)))
    assert [one["seq"] for one in json.loads(array)] == [3, 4]
    assert len(array) <= sum(len(entry.frame) for entry in entries)


@pytest.mark.parametrize("deflate", [False, True])
def test_between_arrays_of_events_a_gap_is_an_object_in_its_place(deflate: bool) -> None:
    gaps = [Entry.of_gap(Gap(from_=seq, to=seq, reason="retention")) for seq in (4, 5)]
    entries = [event(2), event(3, size=4000), *gaps, event(6)]

    data = encode(entries, View(frozenset(), batch=True, deflate=deflate))

    parts = [inflated(part.payload) if part.is_compressed else part.payload for part in split(data)]
    first, *told, last = [json.loads(part) for part in parts]
    assert [one["seq"] for one in first] == [2, 3]
    assert [(gap["type"], gap["from"]) for gap in told] == [("gap", 4), ("gap", 5)]
    assert [one["seq"] for one in last] == [6]


def test_an_entry_carries_what_filters_ask_for() -> None:
    entry = event(
        7,
        "memory.cleared",
        crew="c",
        execution="e",
        priority="high",
        agent_id="a",
        task_id="t",
        client_id="me",
    )

    assert (entry.seq, str(entry.subject), entry.event_type) == (7, "memory.cleared.c.e", "memory.cleared")
    assert (entry.priority, entry.agent_id, entry.task_id, entry.client_id) == ("high", "a", "t", "me")
    assert json.loads(entry.payload)["seq"] == 7
    assert not entry.is_gap


def test_the_entry_of_a_gap_stands_at_its_end() -> None:
    entry = Entry.of_gap(Gap(from_=3, to=9, reason="retention"))

    assert (entry.seq, entry.is_gap) == (9, True)
    assert json.loads(entry.payload) == {"type": "gap", "from": 3, "to": 9, "reason": "retention"}


@given(st.lists(st.tuples(st.sampled_from(Opcode), st.sampled_from([0, 1, 125, 126, 127, 65535, 65536]))))
def test_frames_that_follow_each_other_are_taken_apart(parts: list[tuple[Opcode, int]]) -> None:
    frames = [(opcode, b"x" * size) for opcode, size in parts]

    assert list(split(b"".join(frame(payload, opcode) for opcode, payload in frames))) == [
        (opcode, payload, False) for opcode, payload in frames
    ]
