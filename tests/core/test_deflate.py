"""Deflated frames: an independent client reads what was framed, in whatever order they come."""

import json

from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame

from bridge.core.connection import encode
from bridge.core.deflate import WINDOW_BITS, deflated, inflated
from bridge.core.frames import frame, payload_of, split
from bridge.core.view import View
from tests.contracts.strategies import law
from tests.core.parts import event
from tests.core.test_frames import parsed

TEXTS = st.binary(max_size=300) | st.builds(
    lambda word, times: word * times, st.binary(), st.integers(0, 3000)
)


def client() -> PerMessageDeflate:
    """As a browser: it keeps its window from message to message, though none refers to it."""
    return PerMessageDeflate(
        remote_no_context_takeover=False,
        local_no_context_takeover=False,
        remote_max_window_bits=WINDOW_BITS,
        local_max_window_bits=15,
    )


def read_by(reader: PerMessageDeflate, data: bytes) -> Frame:
    return parsed(data, [reader])


@law
@given(st.lists(TEXTS, max_size=5))
def test_a_client_reads_what_was_framed(texts: list[bytes]) -> None:
    reader = client()

    assert [bytes(read_by(reader, deflated(frame(text))).data) for text in texts] == texts


@law
@given(st.lists(TEXTS, max_size=5))
def test_frames_can_be_taken_apart_and_inflated_again(texts: list[bytes]) -> None:
    data = b"".join(deflated(frame(text)) for text in texts)

    parts = list(split(data))
    assert [inflated(part.payload) if part.is_compressed else part.payload for part in parts] == texts
    assert [part.is_compressed for part in parts] == [deflated(frame(text)) != frame(text) for text in texts]


def test_what_gets_no_smaller_stays_as_it_is() -> None:
    noise = frame(bytes(range(256)))

    assert deflated(noise) is noise
    assert deflated(frame(b"short")) == frame(b"short")


def test_an_event_is_half_as_long_and_compressed_once() -> None:
    entry = event(1, size=400)

    first, second = deflated(entry.frame), deflated(entry.frame)

    assert first is second
    assert len(first) < len(entry.frame) / 2


def test_the_view_says_how_events_are_sent() -> None:
    entries = [event(seq, size=400) for seq in (1, 2)]

    one_each = encode(entries, View(frozenset(), deflate=True))
    as_array = encode(entries, View(frozenset(), batch=True, deflate=True))

    assert one_each == b"".join(deflated(entry.frame) for entry in entries)
    found = json.loads(bytes(read_by(client(), as_array).data))
    assert found == [json.loads(payload_of(entry.frame)) for entry in entries]
