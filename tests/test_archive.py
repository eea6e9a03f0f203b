"""The past is read once for all who ask, a few reads at a time, and until it works."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from bridge.archive import Archive
from bridge.core.connection import Connection
from bridge.core.history import Chunk, Request
from bridge.core.hub import Hub
from bridge.core.log import Log
from bridge.shelf import Shelf
from contracts.codec import StoredMessage
from contracts.subjects import ANY, Pattern
from contracts.subscriptions import parse_subscription
from tests.core.parts import FakeSocket, event
from tests.waiting import until

ALL = frozenset({Pattern(ANY, ANY, ANY, ANY)})
FLOOR = 100
Answer = tuple[list[StoredMessage], int, tuple[int, int] | None]


class Clock:
    """It stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Stream:
    """An honest stream of `FLOOR` events that answers when it is let, with ``most`` of them at once."""

    most = FLOOR

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun: list[int] = []
        self.at_once = self.most_at_once = 0
        self.faults = 0

    async def read(self, epoch: str, patterns: frozenset[Pattern], after: int, upto: int) -> Answer:
        self.begun.append(after)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
            if self.faults:
                self.faults -= 1
                raise OSError("not now")
            upto = min(upto, after + self.most)
            return [_stored(seq) for seq in range(after + 1, upto + 1)], upto, None
        finally:
            self.at_once -= 1


def _stored(seq: int) -> StoredMessage:
    body = b"{" if seq % 10 == 0 else json.dumps({"data": {}}).encode()
    return StoredMessage("custom.note.c1.e1", body, seq, seq)


class Bench:
    """A hub whose ring begins at `FLOOR`, and its archive."""

    def __init__(self, at_once: int = 2) -> None:
        self.stream = Stream()
        log = Log(1 << 20)
        self.hub = Hub(
            log,
            buffer_limit=1 << 20,
            wake=lambda: None,
            full=lambda _: None,
            fetch=self._fetch,
            now=lambda: 0,
        )
        self.hub.reset("e0", FLOOR)
        self.archive = Archive(self.hub, at_once=at_once)

    def _fetch(self, request: Request) -> None:
        self.archive.fetch(request)

    def connect(self, client_id: str, since: int) -> tuple[Connection, FakeSocket]:
        socket = FakeSocket()
        connection = Connection(client_id, "test", socket, 0.0)
        connection.subscriptions = {"global": parse_subscription("global")}
        self.hub.open(connection, since, "e0")
        self.flush()
        return connection, socket

    def flush(self) -> None:
        for _ in self.hub.flush():
            pass

    def is_done(self) -> bool:
        self.flush()
        return not (self.hub.waiting or self.hub.readers)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(self.archive.run(self.stream.read))
            yield
            work.cancel()


async def test_as_many_reads_as_are_allowed_run_at_once_in_the_order_of_the_requests() -> None:
    bench = Bench(at_once=2)
    for since in range(6, -1, -1):
        bench.connect(f"c{since}", since)
    async with bench.running():
        await until(lambda: bench.archive.in_flight == 2)
        assert (bench.archive.queued, bench.stream.begun) == (5, [6, 5])
        bench.stream.gate.set()
        await until(bench.is_done)
    assert bench.stream.begun == list(range(6, -1, -1))
    assert bench.stream.most_at_once == 2
    assert (bench.archive.reads, bench.archive.in_flight, bench.archive.queued) == (7, 0, 0)
    assert bench.archive.bytes > 0


async def test_what_is_being_read_and_what_was_read_lately_is_not_read_again() -> None:
    bench = Bench()
    _, first = bench.connect("first", 5)
    async with bench.running():
        await until(lambda: bench.archive.in_flight)
        _, second = bench.connect("second", 5)
        bench.stream.gate.set()
        await until(bench.is_done)
        _, third = bench.connect("third", 5)
        _, fourth = bench.connect("fourth", 50)
        await until(bench.is_done)
    assert bench.archive.reads == 1
    assert first.written == second.written == third.written
    assert len(b"".join(fourth.written)) < len(b"".join(third.written))


async def test_what_cannot_be_read_is_tried_again_for_as_long_as_somebody_waits() -> None:
    bench = Bench()
    bench.stream.faults = 1
    bench.stream.gate.set()
    _, socket = bench.connect("me", 5)
    async with bench.running():
        await until(bench.is_done)
    assert (bench.archive.failures, bench.archive.reads) == (1, 2)
    assert socket.written


async def test_nothing_is_read_for_who_has_gone() -> None:
    bench = Bench()
    bench.stream.gate.set()
    gone, _ = bench.connect("gone", 5)
    bench.hub.close(gone, 4000, "")
    _, socket = bench.connect("here", 6)
    async with bench.running():
        await until(bench.is_done)
    assert bench.stream.begun == [6]
    assert socket.written


async def test_what_was_being_read_when_the_connection_was_lost_is_read_by_the_next() -> None:
    bench = Bench()
    _, socket = bench.connect("me", 5)
    async with bench.running():
        await until(lambda: bench.archive.in_flight)
    assert not socket.written
    bench.stream.gate.set()
    async with bench.running():
        await until(bench.is_done)
    assert socket.written


async def test_others_than_the_hub_may_ask_and_share() -> None:
    bench = Bench()
    request = Request("e0", ALL, 5, FLOOR)
    async with bench.running():
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(bench.archive.ask(request)) for _ in range(3)]
            await until(lambda: bench.archive.in_flight)
            asking[0].cancel()
            bench.stream.gate.set()
        assert asking[1].result() is asking[2].result() is await bench.archive.ask(request)
    chunk = asking[1].result()
    assert [entry.seq for entry in chunk.entries] == [seq for seq in range(6, FLOOR + 1) if seq % 10]
    assert bench.archive.reads == 1


async def test_nobody_is_answered_about_another_stream() -> None:
    bench = Bench()
    bench.stream.gate.set()
    async with bench.running():
        with pytest.raises(OSError, match="another"):
            await bench.archive.ask(Request("before", ALL, 5, FLOOR))
    assert bench.archive.reads == 0


def _chunk(after: int, upto: int, epoch: str = "e0") -> tuple[Request, Chunk]:
    entries = tuple(event(seq, size=1_000) for seq in range(after + 1, upto + 1))
    return Request(epoch, ALL, after, upto), Chunk(epoch, ALL, after, upto, entries)


def test_a_shelf_holds_what_was_asked_for_last_up_to_its_bytes() -> None:
    shelf = Shelf(30_000)
    for after in (0, 5, 10):
        shelf.put(*_chunk(after, after + 5))
    assert shelf.find(_chunk(3, 20)[0]) is not None

    shelf.put(*_chunk(15, 20))
    shelf.put(*_chunk(15, 20))

    assert shelf.bytes <= 30_000
    found = [after for after in range(20) if shelf.find(_chunk(after, 20)[0]) is not None]
    assert found == [0, 1, 2, 3, 4, *range(10, 20)]


def test_a_shelf_tells_streams_and_patterns_apart() -> None:
    shelf = Shelf(100_000)
    request, chunk = _chunk(0, 5)
    shelf.put(request, chunk)

    assert shelf.find(request) is chunk
    assert shelf.find(_chunk(0, 5, epoch="e1")[0]) is None
    assert shelf.find(Request("e0", frozenset(), 0, 5)) is None
    assert shelf.find(_chunk(5, 9)[0]) is None


async def test_a_question_that_nobody_waits_for_any_more_is_forgotten() -> None:
    bench = Bench()
    async with bench.running():
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await bench.archive.ask(Request("e0", ALL, 5, FLOOR))
        bench.stream.gate.set()
        await bench.archive.ask(Request("e0", ALL, 7, FLOOR))
    assert 7 in bench.stream.begun


async def test_who_asks_what_there_is_is_not_told_what_there_was() -> None:
    """Unless all of it was read: that cannot be gone any more."""
    bench = Bench()
    bench.stream.gate.set()
    bench.stream.most = 20
    bench.archive._shelf = Shelf(1 << 20, clock := Clock())
    part, rest = Request("e0", ALL, 5, FLOOR), Request("e0", ALL, 90, FLOOR)
    async with bench.running():
        read = await bench.archive.ask(part), await bench.archive.ask(rest)
        assert (await bench.archive.ask(part), await bench.archive.ask(rest)) == read
        assert bench.stream.begun == [5, 90]
        clock.now += 2.0
        assert await bench.archive.ask(rest) is read[1]
        assert await bench.archive.ask(part) is not read[0]
    assert bench.stream.begun == [5, 90, 5]


def test_a_shelf_forgets_what_was_known_of_a_stretch_before() -> None:
    shelf = Shelf(100_000)
    for after, upto in ((0, 5), (3, 9), (9, 12)):
        shelf.put(*_chunk(after, upto))
    assert [after for after in range(12) if shelf.find(_chunk(after, 20)[0])] == list(range(3, 12))
