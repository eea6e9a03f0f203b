"""Answers that are larger than a NATS message may be: cut into parts, and put together again."""

from collections.abc import Iterator, Mapping
from typing import Final

PART_BYTES: Final = 256 * 1024
"""A quarter of what a server takes by default."""
_PART: Final = "Bridge-Part"
_PARTS: Final = "Bridge-Parts"


def cut(body: bytes) -> Iterator[tuple[bytes, dict[str, str]]]:
    """The parts of ``body``, each with the headers that say which it is; one at least."""
    count = max(1, -(-len(body) // PART_BYTES))
    for number in range(count):
        part = body[number * PART_BYTES : (number + 1) * PART_BYTES]
        yield part, {_PART: str(number), _PARTS: str(count)}


class Assembly:
    """The parts of one answer, which NATS brings in order."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, part: bytes, headers: Mapping[str, str]) -> bytes | None:
        """The whole, if this was the last part."""
        self._parts.append(part)
        return b"".join(self._parts) if headers.get(_PARTS) == str(len(self._parts)) else None
