"""Chunks of the past that were read lately, for who asks for the same soon: bounded in bytes."""

from collections import OrderedDict

from bridge.core.history import Chunk, Request
from contracts.subjects import Pattern


class Shelf:
    """The newest chunks, up to ``max_bytes`` of memory; those that were asked for last stay longest."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._chunks: OrderedDict[Request, Chunk] = OrderedDict()
        self._alike: dict[tuple[str, frozenset[Pattern]], dict[Request, None]] = {}
        self.bytes = 0

    def put(self, request: Request, chunk: Chunk) -> None:
        """Keep the answer to ``request``; the oldest make room."""
        self._drop(request)
        self._chunks[request] = chunk
        self._alike.setdefault((request.epoch, request.patterns), {})[request] = None
        self.bytes += _size(chunk)
        while self.bytes > self._max_bytes:
            self._drop(next(iter(self._chunks)))

    def find(self, request: Request) -> Chunk | None:
        """A chunk that says what comes next for who asks ``request``."""
        for other in self._alike.get((request.epoch, request.patterns), ()):
            if self._chunks[other].covers(request.after):
                self._chunks.move_to_end(other)
                return self._chunks[other]
        return None

    def _drop(self, request: Request) -> None:
        chunk = self._chunks.pop(request, None)
        if chunk is None:
            return
        self.bytes -= _size(chunk)
        alike = self._alike[request.epoch, request.patterns]
        del alike[request]
        if not alike:
            del self._alike[request.epoch, request.patterns]


def _size(chunk: Chunk) -> int:
    """Also a chunk without entries takes some room."""
    return 1024 + sum(entry.size for entry in chunk.entries)
