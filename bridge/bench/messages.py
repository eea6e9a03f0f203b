"""Messages counted by their frames, where they cannot be seen because they are compressed."""

import zlib
from typing import Final

from bridge.bench.wire import MARKER

_HEAD: Final = 2
_LENGTHS: Final = {126: 2, 127: 8}
_LENGTH: Final = 0x7F
_OPCODE: Final = 0x0F
_TEXT: Final = 1
_COMPRESSED: Final = 0x40
_TAIL: Final = b"\0\0\xff\xff"
"""What RFC 7692 leaves out at the end of a message."""


class Messages:
    """What came on one connection; ``is_read``: it is also inflated, and every message must be an event."""

    def __init__(self, *, is_read: bool) -> None:
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS) if is_read else None
        self._held = b""

    def take(self, data: bytes) -> tuple[int, bytes]:
        """How many text messages are complete now, and what is in them, if it is read."""
        data = self._held + data
        begin = count = 0
        texts = []
        while len(data) >= begin + _HEAD:
            length = data[begin + 1] & _LENGTH
            body = begin + _HEAD + _LENGTHS.get(length, 0)
            if length in _LENGTHS:
                length = int.from_bytes(data[begin + _HEAD : body])
            if body + length > len(data):
                break
            if data[begin] & _OPCODE == _TEXT:
                count += 1
                texts.append(self._text(data[begin], data[body : body + length]))
            begin = body + length
        self._held = data[begin:]
        return count, b"".join(texts)

    def _text(self, first: int, body: bytes) -> bytes:
        if self._inflater is None:
            return b""
        text = self._inflater.decompress(body + _TAIL) if first & _COMPRESSED else body
        if text.count(MARKER) != 1:
            raise ValueError(f"a message that is no event: {text[:200]!r}")
        return text
