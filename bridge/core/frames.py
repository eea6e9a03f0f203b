"""WebSocket frames of a server (RFC 6455): unmasked, so the same bytes serve every socket."""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

_FIN: Final = 0x80
_LEN16: Final = 0x7E
_LEN64: Final = 0x7F
_MAX_LEN16: Final = 0xFFFF
COMPRESSED: Final = 0x40
"""The bit that permessage-deflate sets in a frame's first byte (RFC 7692, 6)."""


class Opcode(IntEnum):
    """What a frame carries."""

    TEXT = 0x1
    PING = 0x9
    PONG = 0xA


class Part(NamedTuple):
    """What one frame carries."""

    opcode: Opcode
    payload: bytes
    is_compressed: bool


def frame(payload: bytes, opcode: Opcode = Opcode.TEXT) -> bytes:
    """``payload`` as one whole frame."""
    first, length = _FIN | opcode, len(payload)
    if length < _LEN16:
        return b"%c%c%b" % (first, length, payload)
    if length <= _MAX_LEN16:
        return b"%c\x7e%b%b" % (first, length.to_bytes(2), payload)
    return b"%c\x7f%b%b" % (first, length.to_bytes(8), payload)


def payload_of(data: bytes) -> bytes:
    """What `frame` was given."""
    return data[{_LEN16: 4, _LEN64: 10}.get(data[1], 2) :]


def array_frame(payloads: Iterable[bytes]) -> bytes:
    """JSON texts as one frame that holds a JSON array of them."""
    return frame(b"[" + b",".join(payloads) + b"]")


def split(data: bytes) -> Iterator[Part]:
    """What whole frames, one after the other, carry."""
    start = 0
    while start < len(data):
        body, length = start + 2, data[start + 1]
        if length == _LEN16:
            body, length = start + 4, int.from_bytes(data[start + 2 : start + 4])
        elif length > _LEN16:
            body, length = start + 10, int.from_bytes(data[start + 2 : start + 10])
        first = data[start]
        yield Part(Opcode(first & 0x0F), data[body : body + length], bool(first & COMPRESSED))
        start = body + length
