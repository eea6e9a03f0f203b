"""Where a client begins is found out of the stream that is there, and of the log as far as it goes."""

import asyncio

import pytest

from bridge.archive import Archive
from bridge.core.hub import Hub
from bridge.core.log import Log
from bridge.core.start import Start
from bridge.core.view import View
from bridge.seeker import Seeker
from bridge.shelf import Shelf
from contracts.codec import StoredMessage
from contracts.positions import StreamPosition
from contracts.subjects import ANY, Pattern
from tests.core.parts import event
from tests.test_archive import Clock

EVERYTHING = View(frozenset({Pattern(ANY, ANY, ANY, ANY)}))


class Past:
    """A stream of events that were stored at their numbers."""

    def __init__(self, last: int, first: int = 1) -> None:
        self.first = first
        self.last = last

    async def span(self) -> tuple[int, int]:
        return self.first, self.last

    async def before(self, time_ns: int) -> int:
        return min(time_ns - 1, self.last)

    async def stored_ns(self, seq: int) -> int | None:
        return seq if seq <= self.last else None

    async def count(self, patterns: frozenset[Pattern], after: int) -> int:
        return self.last - after


class Visitor:
    client_id = "me"
    is_known = False


@pytest.fixture
def hub() -> Hub:
    hub = Hub(
        Log(1 << 20),
        buffer_limit=1 << 20,
        wake=lambda: None,
        full=lambda _: None,
        fetch=lambda _: None,
        now=lambda: 0,
    )
    hub.reset("e0-0", 0)
    return hub


@pytest.fixture
def seeker(hub: Hub) -> Seeker:
    return Seeker(hub, Archive(hub, at_once=1))


async def _since(seeker: Seeker, time_ns: int) -> int | None:
    return (await seeker.seek(Visitor(), EVERYTHING, Start(time_ns=time_ns))).since


async def test_what_was_found_out_about_a_stream_says_nothing_of_the_next(hub: Hub, seeker: Seeker) -> None:
    for seq in range(1, 10):
        hub.publish(event(seq))
    with seeker.asking(Past(9)):
        assert await _since(seeker, 8) == 7
    hub.reset("e1-0", 0)
    for seq in range(1, 10):
        hub.publish(event(seq))
    with seeker.asking(Past(3)):
        assert await _since(seeker, 8) == 3


async def test_what_was_read_long_ago_will_do_until_retention_has_come_to_its_end(hub: Hub) -> None:
    """Who comes back with many others, after a restart of the bridge, need not wait for a read of its own."""
    begun: list[int] = []

    async def read(
        epoch: str, patterns: frozenset[Pattern], after: int, upto: int
    ) -> tuple[list[StoredMessage], int, None]:
        begun.append(after)
        return [], after + 100, None

    clock = Clock()
    archive = Archive(hub, at_once=1)
    archive._shelf = Shelf(1 << 20, clock)
    hub.reset("e0-0", 1000)
    start = Start(since=5, epoch="e0", mark=StreamPosition(5, 5))
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(archive.run(read))
        for first, reads in ((1, [5]), (1, [5]), (106, [5]), (107, [5, 5])):
            seeker = Seeker(hub, archive)
            with seeker.asking(Past(1000, first)):
                found = await seeker.seek(Visitor(), EVERYTHING, start)
            assert found.chunk is not None
            assert found.chunk.upto == 105
            assert begun == reads
            clock.now += 2.0
        working.cancel()
    assert (archive.reads, archive.shared) == (2, 2)


async def test_a_time_that_the_bridge_has_not_come_to_yet_is_waited_for(hub: Hub, seeker: Seeker) -> None:
    hub.publish(event(1))
    with seeker.asking(Past(5)):
        async with asyncio.TaskGroup() as tasks:
            seeking = tasks.create_task(_since(seeker, 4))
            await asyncio.sleep(0.05)
            assert not seeking.done()
            hub.publish(event(5))
    assert seeking.result() == 3
