"""Frames compressed as permessage-deflate has it (RFC 7692), each by itself: so one serves every receiver.

A receiver keeps a window of what came before, unless told otherwise, but nothing obliges the sender to refer
to it. A context for each connection would take tens of KiB, and compress every event as often as it is sent.
"""

import zlib
from functools import lru_cache
from typing import Final

from bridge.core.frames import COMPRESSED, Opcode, frame, payload_of

WINDOW_BITS: Final = 12
"""Of the window that a receiver needs: 4 KiB are plenty for an event, and quick to set up."""
_LEVEL: Final = 1
_MEMORY: Final = 5
_LEAST: Final = 128
"""Bytes; what is shorter does not get smaller by enough."""
_SMALL: Final = 4096
_TAIL: Final = b"\0\0\xff\xff"
"""Ends every flush; RFC 7692 leaves it out."""


def deflated(data: bytes) -> bytes:
    """The frame ``data``, a text, compressed; as it is where that would not make it smaller."""
    if len(data) < _LEAST:
        return data
    return _remembered(data) if len(data) <= _SMALL else _deflated(data)


def _deflated(data: bytes) -> bytes:
    context = zlib.compressobj(_LEVEL, zlib.DEFLATED, -WINDOW_BITS, _MEMORY)
    body = context.compress(payload_of(data)) + context.flush(zlib.Z_SYNC_FLUSH)
    made = frame(body.removesuffix(_TAIL), Opcode.TEXT)
    return bytes((made[0] | COMPRESSED,)) + made[1:] if len(made) < len(data) else data


_remembered = lru_cache(maxsize=512)(_deflated)
"""An event goes to many groups within one flush."""


def inflated(payload: bytes) -> bytes:
    """What a compressed frame's ``payload`` was before."""
    return zlib.decompressobj(-WINDOW_BITS).decompress(payload + _TAIL)
