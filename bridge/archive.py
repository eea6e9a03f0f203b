"""The stream's past for who looks back beyond the ring: read once for all who ask, a few reads at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from bridge.core.entry import Entry
from bridge.core.history import Chunk, Request, with_gaps
from bridge.core.hub import Hub
from bridge.core.lasting import stretches
from bridge.intake import entry_of
from bridge.shelf import Shelf
from contracts.codec import StoredMessage
from contracts.subjects import Pattern

log = structlog.get_logger(__name__)

Read = Callable[
    [str, frozenset[Pattern], int, int], Awaitable[tuple[list[StoredMessage], int, tuple[int, int] | None]]
]
"""Epoch, patterns, after, upto: the messages, up to where they are all, and what is lost; or `OSError`."""

SHELF_BYTES: Final = 16 * 1024**2
_RETRY_SECONDS: Final = 0.5
_MEMORY_SECONDS: Final = 1.0
"""An answer that another was given so lately is not asked for again."""
_DECODED_AT_ONCE: Final = 32
"""Half a millisecond; then others have their turn."""


class Archive:
    """Answers the hub's requests, first come, first served, ``at_once`` reads at the same time.

    Who asks for what is being read, or was read lately, costs no read. What cannot be read now is tried again
    for as long as somebody waits for it.
    """

    def __init__(self, hub: Hub, *, at_once: int, shelf_bytes: int = SHELF_BYTES) -> None:
        self._hub = hub
        self._at_once = at_once
        self._shelf = Shelf(shelf_bytes)
        self._queue: asyncio.Queue[Request] = asyncio.Queue()
        self._open: set[Request] = set()
        self._asked: dict[Request, set[asyncio.Future[Chunk]]] = {}
        self.reads = 0
        """Reads of the stream that began."""
        self.shared = 0
        """Requests that were answered from what had been read for another."""
        self.failures = 0
        """Reads that failed and were tried again."""
        self.bytes = 0
        """Bytes of messages read."""
        self.in_flight = 0
        """Reads under way."""
        self.failed = asyncio.Event()
        """Set when a read fails; to be cleared by who looks into it."""

    @property
    def queued(self) -> int:
        """Requests whose turn has not come."""
        return self._queue.qsize()

    def fetch(self, request: Request) -> None:
        """Begin to answer ``request``; the hub gets the answer later."""
        chunk = self._shelf.find(request)
        if chunk is not None:
            self.shared += 1
            asyncio.get_running_loop().call_soon(self._hub.supply, request, chunk)
        else:
            self._line_up(request)

    def _line_up(self, request: Request) -> None:
        if request in self._open:
            self.shared += 1
        else:
            self._open.add(request)
            self._queue.put_nowait(request)

    def known(self, request: Request) -> Chunk | None:
        """What was read there, however long ago: it says nothing of what follows it."""
        return self._shelf.find(request)

    async def ask(self, request: Request) -> Chunk:
        """The answer to ``request`` for somebody other than the hub; waits as long as it takes.

        What was read longer ago, and not to the end, may be gone by now: it is no answer. Raises `OSError`
        once the stream is another one.
        """
        chunk = self._shelf.find_certain(request, _MEMORY_SECONDS)
        if chunk is not None:
            self.shared += 1
            return chunk
        answer: asyncio.Future[Chunk] = asyncio.get_running_loop().create_future()
        asking = self._asked.setdefault(request, set())
        asking.add(answer)
        self._line_up(request)
        try:
            return await answer
        finally:
            asking.discard(answer)
            if not asking:
                self._asked.pop(request, None)

    async def run(self, read: Read) -> None:
        """Answer for ever; ends by cancellation only, and leaves what it was reading to the next run."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._at_once):
                tasks.create_task(self._work(read))

    async def _work(self, read: Read) -> None:
        while True:
            request = await self._queue.get()
            self.in_flight += 1
            try:
                await self._answer(request, read)
                self._open.discard(request)
            except asyncio.CancelledError:
                self._queue.put_nowait(request)
                raise
            finally:
                self.in_flight -= 1

    async def _answer(self, request: Request, read: Read) -> None:
        """Try until it works, or nobody waits any more."""
        while self._hub.is_wanted(request) or request in self._asked:
            if request.epoch != self._hub.log.epoch:
                self._give_up(request)
                return
            try:
                chunk = self._on_shelf(request) or await self._read(request, read)
            except OSError as error:
                self.failures += 1
                self.failed.set()
                log.info("past not readable", after=request.after, error=str(error) or type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._tell(request, chunk)

    def _on_shelf(self, request: Request) -> Chunk | None:
        if request in self._asked:
            return self._shelf.find_certain(request, _MEMORY_SECONDS)
        return self._shelf.find(request)

    def _give_up(self, request: Request) -> None:
        """The hub has let go of all who waited for another stream."""
        for answer in self._asked.pop(request, ()):
            if not answer.done():
                answer.set_exception(OSError("the stream is another one"))

    def _tell(self, request: Request, chunk: Chunk) -> None:
        for answer in self._asked.pop(request, ()):
            if not answer.done():
                answer.set_result(chunk)
        self._hub.supply(request, chunk)

    async def _read(self, request: Request, read: Read) -> Chunk:
        self.reads += 1
        messages, upto, lost = await read(request.epoch, request.patterns, request.after, request.upto)
        entries: list[Entry] = []
        for number, message in enumerate(messages, 1):
            self.bytes += len(message.payload)
            entry = entry_of(message, request.epoch)
            if isinstance(entry, Entry) and _is_asked_for(entry, request):
                entries.append(entry)
            if number % _DECODED_AT_ONCE == 0:
                await asyncio.sleep(0)
        holes = await self._holes(request, [message.seq for message in messages], upto, lost)
        told = with_gaps(entries, holes)
        chunk = Chunk(request.epoch, request.patterns, request.after, upto, told, lost, holes)
        self._shelf.put(request, chunk)
        return chunk

    async def _holes(
        self, request: Request, found: list[int], upto: int, lost: tuple[int, int] | None
    ) -> list[tuple[int, int]]:
        """What of the read was here once, was to last, and is gone, but for what is ``lost`` anyway."""
        after = max(request.after, lost[1] if lost else 0)
        known, missing, lasting = set(found), list[int](), self._hub.log.lasting
        while after < upto:
            more, after = lasting.missing(request.patterns, after, upto, known)
            missing += more
            await asyncio.sleep(0)
        holes = stretches(missing, found)
        if holes:
            log.warning("events removed", first=holes[0][0], last=holes[-1][1], count=len(missing))
        return holes


def _is_asked_for(entry: Entry, request: Request) -> bool:
    """Events on bare subjects are read whatever their ids are, and whoever they are for."""
    is_special = entry.is_for_all or entry.client_id is not None
    return is_special or any(p.matches(entry.audience) for p in request.patterns)
