"""Chunks of the past that were read lately, for who asks for the same soon: bounded in bytes."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from bridge.core.history import Chunk, Request
from contracts.subjects import Pattern


class Shelf:
    """The newest chunks, up to ``max_bytes`` of memory; those that were asked for last stay longest."""

    def __init__(self, max_bytes: int, clock: Callable[[], float] = monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._read_at: dict[Request, float] = {}
        self._chunks: OrderedDict[Request, Chunk] = OrderedDict()
        self._alike: dict[tuple[str, frozenset[Pattern]], dict[Request, None]] = {}
        self.bytes = 0

    def put(self, request: Request, chunk: Chunk) -> None:
        """Keep the answer to ``request``; the oldest make room, and what was known of this stretch before."""
        for other in self._overlapping(chunk):
            self._drop(other)
        self._read_at[request] = self._clock()
        self._chunks[request] = chunk
        self._alike.setdefault((request.epoch, request.patterns), {})[request] = None
        self.bytes += _size(chunk)
        while self.bytes > self._max_bytes:
            self._drop(next(iter(self._chunks)))

    def find(self, request: Request) -> Chunk | None:
        """A chunk that says what comes next for who asks ``request``."""
        covering = self._covering(request)
        if covering is None:
            return None
        self._chunks.move_to_end(covering)
        return self._chunks[covering]

    def find_certain(self, request: Request, seconds: float) -> Chunk | None:
        """As `find`, where that also says whether anything of the rest is gone from the stream.

        It has all that was asked for; or the stream had the rest within the last so many ``seconds``.
        """
        covering = self._covering(request)
        if covering is None:
            return None
        is_new = self._clock() - self._read_at[covering] <= seconds
        return self.find(request) if is_new or self._chunks[covering].upto >= request.upto else None

    def _covering(self, request: Request) -> Request | None:
        alike = self._alike.get((request.epoch, request.patterns), ())
        return next((other for other in alike if self._chunks[other].covers(request.after)), None)

    def _overlapping(self, chunk: Chunk) -> list[Request]:
        alike = self._alike.get((chunk.epoch, chunk.patterns), ())
        return [
            other for other in alike if other.after < chunk.upto and chunk.after < self._chunks[other].upto
        ]

    def _drop(self, request: Request) -> None:
        chunk = self._chunks.pop(request, None)
        if chunk is None:
            return
        self.bytes -= _size(chunk)
        del self._read_at[request]
        alike = self._alike[request.epoch, request.patterns]
        del alike[request]
        if not alike:
            del self._alike[request.epoch, request.patterns]


def _size(chunk: Chunk) -> int:
    """Also a chunk without entries takes some room."""
    return 1024 + sum(entry.size for entry in chunk.entries)
