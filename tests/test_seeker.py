"""Where a client begins is found out of the stream that is there, and of the log as far as it goes."""

import asyncio

import pytest

from bridge.archive import Archive
from bridge.core.hub import Hub
from bridge.core.log import Log
from bridge.core.start import Start
from bridge.core.view import View
from bridge.seeker import Seeker
from contracts.subjects import ANY, Pattern
from tests.core.parts import event

EVERYTHING = View(frozenset({Pattern(ANY, ANY, ANY, ANY)}))


class Past:
    """A stream of events that were stored at their numbers."""

    def __init__(self, last: int) -> None:
        self.last = last

    async def span(self) -> tuple[int, int]:
        return 1, self.last

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


async def test_a_time_that_the_bridge_has_not_come_to_yet_is_waited_for(hub: Hub, seeker: Seeker) -> None:
    hub.publish(event(1))
    with seeker.asking(Past(5)):
        async with asyncio.TaskGroup() as tasks:
            seeking = tasks.create_task(_since(seeker, 4))
            await asyncio.sleep(0.05)
            assert not seeking.done()
            hub.publish(event(5))
    assert seeking.result() == 3
