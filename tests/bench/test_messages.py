"""Messages are counted by their frames, however the bytes are cut."""

import zlib

import pytest

from bridge.bench import wire
from bridge.bench.messages import Messages

_TEXT, _PING, _CLOSE, _DEFLATED = 0x81, 0x89, 0x88, 0xC1
_TAIL = b"\0\0\xff\xff"


def _frame(first: int, body: bytes) -> bytes:
    """As servers send it: not masked."""
    if len(body) < 126:
        return bytes((first, len(body))) + body
    if len(body) < 2**16:
        return bytes((first, 126)) + len(body).to_bytes(2) + body
    return bytes((first, 127)) + len(body).to_bytes(8) + body


def _event(size: int) -> bytes:
    return bytes((wire.MARKER,)) + b"." * (size - 1)


class _Deflater:
    """One context for the whole connection, as RFC 7692 has it unless that is declined."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)

    def frame(self, text: bytes) -> bytes:
        data = self._deflate.compress(text) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _frame(_DEFLATED, data.removesuffix(_TAIL))


@pytest.mark.parametrize("is_read", [True, False])
def test_frames_are_counted_once_wherever_the_bytes_are_cut(is_read: bool) -> None:
    deflater = _Deflater()
    texts = [_event(40), _event(300), _event(125), _event(126)]
    data = b"".join(
        (
            deflater.frame(texts[0]),
            _frame(_PING, b"alive"),
            _frame(_TEXT, texts[1]),
            deflater.frame(texts[2]),
            _frame(_TEXT, texts[3]),
            _frame(_CLOSE, b"\x03\xe8"),
        )
    )

    for cut in range(len(data) + 1):
        messages = Messages(is_read=is_read)
        taken = [messages.take(data[:cut]), messages.take(data[cut:])]
        assert sum(count for count, _ in taken) == len(texts)
        assert b"".join(text for _, text in taken) == (b"".join(texts) if is_read else b"")


def test_bytes_that_come_one_by_one_are_the_same_messages() -> None:
    deflater, messages = _Deflater(), Messages(is_read=True)
    texts = [_event(200), _event(200), _event(7)]

    taken = [messages.take(bytes((byte,))) for text in texts for byte in deflater.frame(text)]

    assert [text for count, text in taken if count] == texts
    assert {count for count, _ in taken} == {0, 1}


@pytest.mark.parametrize("size", [1, 125, 126, 2**16 - 1, 2**16, 2**17])
def test_a_length_of_any_width_is_understood_and_complete_only_with_its_last_byte(size: int) -> None:
    text = _event(size)
    data = _frame(_TEXT, text)
    messages = Messages(is_read=True)

    assert messages.take(data[:-1]) == (0, b"")
    assert messages.take(data[-1:] + data) == (2, text * 2)


def test_what_is_compressed_for_all_with_a_fresh_context_is_read_too() -> None:
    frames = [_Deflater().frame(_event(size)) for size in (300, 300, 20)]

    assert Messages(is_read=True).take(b"".join(frames)) == (3, _event(300) + _event(300) + _event(20))


def test_control_frames_are_no_messages_whatever_is_in_them() -> None:
    messages = Messages(is_read=True)

    assert messages.take(_frame(_PING, _event(20)) + _frame(_CLOSE, b"")) == (0, b"")


@pytest.mark.parametrize("text", [b"", b"{}", _event(3) * 2])
@pytest.mark.parametrize("is_deflated", [True, False])
def test_what_is_no_event_is_an_error_where_it_is_read_and_only_there(text: bytes, is_deflated: bool) -> None:
    data = _Deflater().frame(text) if is_deflated else _frame(_TEXT, text)

    assert Messages(is_read=False).take(data) == (1, b"")
    with pytest.raises(ValueError, match="no event"):
        Messages(is_read=True).take(data)


def test_what_cannot_be_inflated_is_an_error() -> None:
    with pytest.raises(zlib.error):
        Messages(is_read=True).take(_frame(_DEFLATED, b"\xff" * 20))
