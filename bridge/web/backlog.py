"""What waits for a reader who may be slow: bounded in bytes, and what does not fit is counted."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MAX_BYTES: Final = 1024**2
_OVERHEAD: Final = 200


@dataclass(frozen=True, slots=True)
class Dropped:
    """So many things are missing here."""

    count: int


def _one(_: object) -> int:
    return 1


class Backlog(Generic[T]):
    """First in, first out. Whoever puts something in never waits.

    ``count_of``: as how many an item counts, if it is dropped.
    """

    def __init__(self, max_bytes: int = MAX_BYTES, *, count_of: Callable[[T], int] = _one) -> None:
        self._max_bytes = max_bytes
        self._count_of = count_of
        self._items: deque[tuple[T | Dropped, int]] = deque()
        self._bytes = 0
        self._dropped = 0
        self._is_closed = False
        self._news = asyncio.Event()

    def put(self, item: T, size: int) -> None:
        """Add something of so many bytes, or count it."""
        size += _OVERHEAD
        if self._is_closed:
            return
        if self._bytes + size > self._max_bytes:
            self._dropped += self._count_of(item)
            return
        self._tell_of_dropped()
        self._items.append((item, size))
        self._bytes += size
        self._news.set()

    def close(self, last: T | None = None) -> None:
        """Nothing more comes; ``last`` is let in, however full it is."""
        if self._is_closed:
            return
        self._tell_of_dropped()
        if last is not None:
            self._items.append((last, 0))
        self._is_closed = True
        self._news.set()

    async def take(self, seconds: float) -> T | Dropped | None:
        """The next thing; None if there is none within so many seconds. The end raises `EOFError`."""
        if not self._items and not self._is_closed:
            self._news.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                return None
        if not self._items:
            raise EOFError
        item, size = self._items.popleft()
        self._bytes -= size
        if not self._items:
            self._tell_of_dropped()
        return item

    def _tell_of_dropped(self) -> None:
        if self._dropped:
            self._items.append((Dropped(self._dropped), 0))
            self._dropped = 0
