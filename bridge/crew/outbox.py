"""The outbox: where the crew's threads leave messages, and the courier takes them.

Bounded in bytes. Putting never waits and never fails: when memory is short, what is short-lived goes first.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bridge.crew.message import Message

MAX_BYTES: Final = 64 * 1024 * 1024


@dataclass(slots=True)
class Fence:
    """A place in the outbox; passed when everything before it is dealt with."""

    passed: threading.Event = field(default_factory=threading.Event)
    safe: bool = False
    """Whether that means acknowledged or on disk."""


class Outbox:
    """A queue of messages and fences, safe between threads and inside signal handlers."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._lock = threading.RLock()
        self._items: deque[Message | Fence] = deque()
        self._bytes = 0
        self._sheddable = 0
        """How many of the items are short-lived."""
        self._max_bytes = max_bytes
        self._wake: Callable[[], None] = _nobody
        self._awake = False
        self.fences = 0
        """How many threads wait."""
        self.shed = 0
        """Messages that memory had no room for, so far."""

    def __len__(self) -> int:
        """Messages and fences that wait."""
        return len(self._items)

    @property
    def bytes_waiting(self) -> int:
        """What waits, in bytes."""
        return self._bytes

    @property
    def crowded(self) -> bool:
        """Whether a quarter of the room is taken: more than ever waits while all is well."""
        return self._bytes > self._max_bytes // 4

    def listen(self, wake: Callable[[], None]) -> None:
        """Call ``wake``, from any thread, once when something is there to take."""
        with self._lock:
            self._wake = wake
            self._awake = False
            if self._items:
                self.nudge()

    def call(self) -> None:
        """Wake the courier, even if it is awake and waits for a connection."""
        self._wake()

    def put(self, message: Message) -> None:
        """Leave a message. One that finds no room, even after shedding, is counted as shed."""
        size = message.size
        with self._lock:
            if self._bytes + size > self._max_bytes and not self._make_room(message):
                self.shed += 1
                return
            self._items.append(message)
            self._bytes += size
            self._sheddable += message.short_lived
            self.nudge()

    def fence(self) -> Fence:
        """Leave a fence behind everything that was put before."""
        fence = Fence()
        with self._lock:
            self._items.append(fence)
            self.fences += 1
            self._wake()
        return fence

    def take(self, limit: int) -> tuple[list[Message], list[Fence]]:
        """At most ``limit`` messages in their order, and the fences right behind the last of them."""
        messages: list[Message] = []
        fences: list[Fence] = []
        with self._lock:
            self._awake = False
            while self._items and len(messages) < limit:
                if fences and isinstance(self._items[0], Message):
                    break
                item = self._items.popleft()
                if isinstance(item, Fence):
                    fences.append(item)
                else:
                    messages.append(item)
            self._count(messages, -1)
        return messages, fences

    def put_back(self, messages: list[Message]) -> None:
        """Leave messages before all others: they were taken, and nobody knows when they can be carried.

        So nobody has to wait for them: all fences open.
        """
        with self._lock:
            self._items.extendleft(reversed(messages))
            self._count(messages, 1)
            fences = [item for item in self._items if isinstance(item, Fence)] if self.fences else []
            for fence in fences:
                self._items.remove(fence)
        self.open(fences, safe=False)

    def open(self, fences: list[Fence], *, safe: bool) -> None:
        """Let those pass who wait at ``fences``."""
        with self._lock:
            self.fences -= len(fences)
        for fence in fences:
            fence.safe = safe
            fence.passed.set()

    def nudge(self) -> None:
        """Wake the courier, unless it is awake."""
        with self._lock:
            if not self._awake:
                self._awake = True
                self._wake()

    def _count(self, messages: list[Message], by: int) -> None:
        self._bytes += by * sum(message.size for message in messages)
        self._sheddable += by * sum(message.short_lived for message in messages)

    def _make_room(self, message: Message) -> bool:
        """Shed all that is short-lived at once: going through the queue for each would cost its length."""
        if message.short_lived or not self._sheddable:
            return False
        kept = [item for item in self._items if isinstance(item, Fence) or not item.short_lived]
        self.shed += len(self._items) - len(kept)
        self._items = deque(kept)
        self._bytes = self._sheddable = 0
        self._count([item for item in kept if isinstance(item, Message)], 1)
        return self._bytes + message.size <= self._max_bytes


def _nobody() -> None:
    """Nobody listens yet."""
