"""A client that moves to another bridge is let go of where it was, and nobody else is."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack

import nats
import pytest
from websockets.exceptions import ConnectionClosed

from bridge.core.socket import CloseCode
from bridge.crew import EventPublisher
from bridge.web.moves import Moves
from contracts import create_task_event
from contracts.cluster import Release, Takeover
from tests.client import PREFIX, Listener
from tests.conftest import Client
from tests.core.parts import Bench, FakeSocket
from tests.nats_server import served
from tests.waiting import soon
from tests.web.test_cluster import Two, two

__all__ = ["two"]


@pytest.fixture(scope="module")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What bridges tell each other is overheard by the tests of this file only."""
    with served(tmp_path_factory.mktemp("nats")) as url:
        yield url


async def test_a_client_that_moves_to_another_bridge_is_let_go_of_where_it_was(
    two: Two, publisher: EventPublisher, new_id: str
) -> None:
    a, b = two
    path, other = f"executions/{new_id}", f"{new_id}-other"
    async with a.connect(path, client_id=other) as bystander, AsyncExitStack() as stack:
        newest = await stack.enter_async_context(a.connect(path, client_id=new_id))
        for bridge in (b, a, b):
            older, newest = newest, await stack.enter_async_context(bridge.connect(path, client_id=new_id))
            await older.socket.wait_closed()
            assert (older.socket.close_code, older.socket.close_reason) == (
                4501,
                "the client connected again",
            )
        await publisher.publish(create_task_event("t1", "completed", execution_id=new_id))
        assert [event["task_id"] for event in await newest.events(1)] == ["t1"]
        assert [event["task_id"] for event in await bystander.events(1)] == ["t1"]
        _, body = await a.get(f"{PREFIX}/connections")

    assert [(c["client_id"], c["instance"]) for c in body["data"]["connections"]] == [
        (new_id, "b"),
        (other, "a"),
    ]


async def test_of_many_moves_at_once_exactly_one_connection_remains(two: Two, new_id: str) -> None:
    async with AsyncExitStack() as stack:

        async def come(bridge: Client) -> Listener | None:
            """As a client whose place may be taken before it has heard that it has one."""
            try:
                return await stack.enter_async_context(bridge.connect("custom", client_id=new_id))
            except ConnectionClosed:
                return None

        for _ in range(5):
            came = await asyncio.gather(*(come(two[number % 2]) for number in range(10)))
            listeners = [listener for listener in came if listener is not None]

            async def one_is_left(listeners: list[Listener] = listeners) -> bool:
                return sum(listener.socket.close_code is None for listener in listeners) == 1

            await soon(one_is_left)
            (left,) = [listener for listener in listeners if listener.socket.close_code is None]
            assert await left.nothing_more()
            assert {one.socket.close_code for one in listeners if one is not left} == {4501}


async def test_who_has_no_id_of_its_own_is_not_told_of(two: Two, new_id: str) -> None:
    a, b = two
    overhearing = await nats.connect(a.nats_url)
    told = await overhearing.subscribe("_CREW_BRIDGE.*.told.>")
    await overhearing.flush()
    async with a.connect("custom"), b.connect("custom"):
        found = []
        for number, bridge in enumerate((a, b, b)):
            async with bridge.connect("custom", client_id=f"{new_id}-{number}"):
                news = Takeover.model_validate_json((await told.next_msg(10)).data)
                found += [one.client_id for one in news.news]
    await overhearing.close()

    assert found == [f"{new_id}-{number}" for number in range(3)]


class Side:
    """A bridge's part of the talk, with a clock of its own; what it says waits to be heard."""

    def __init__(self, id_: str, clock: float) -> None:
        self.bench = Bench()
        self.now = clock
        self.moves = Moves(self.bench.hub, lambda: self.now)
        self.moves._id = id_

    def open(self) -> FakeSocket:
        """The client connects; what was there of it before is replaced."""
        connection, socket = self.bench.connect(client_id="me")
        connection.opened_at, connection.is_known = self.now, True
        self.moves.came(connection)
        return socket

    async def said(self) -> list[bytes]:
        """All that waits, as messages."""
        said: list[bytes] = []

        async def tell(_: str, data: bytes) -> None:
            said.append(data)

        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(self.moves.tell_for_ever(tell))
            for _ in range(10):
                await asyncio.sleep(0)
            telling.cancel()
        return said


async def _talk(*sides: Side, delay: float = 0.001, slow: Mapping[int, float] | None = None) -> None:
    """Until nobody has anything to say; messages take ``delay`` seconds, or what ``slow`` says of a round."""
    for number in range(20):
        spoken = [(side, data) for side in sides for data in await side.said()]
        for side in sides:
            side.now += (slow or {}).get(number, delay)
        for teller, data in spoken:
            for side in sides:
                if side is not teller:
                    side.moves.hear(data)


_SKEWS = (-3600.0, -0.5, 0.0, 0.5, 3600.0)


@pytest.mark.parametrize("skew", _SKEWS)
@pytest.mark.parametrize("ids", ["ab", "ba"])
async def test_whatever_the_clocks_say_the_connection_that_was_opened_first_is_let_go_of(
    ids: str, skew: float
) -> None:
    first, second = Side(ids[0], 10_000.0), Side(ids[1], 10_000.0 + skew)
    older = first.open()
    await _talk(first, second)
    newer = second.open()
    await _talk(first, second)

    assert older.closed == (CloseCode.REPLACED, "the client connected again")
    assert newer.closed is None


@pytest.mark.parametrize("held_up", range(4), ids="message {}".format)
@pytest.mark.parametrize("ids", ["ab", "ba"])
async def test_an_answer_that_was_held_up_does_not_end_the_newer_of_two_that_came_soon_after_each_other(
    ids: str, held_up: int
) -> None:
    first, second = Side(ids[0], 10_000.0), Side(ids[1], 70.0)
    older = first.open()
    await _talk(first, second)
    for side in (first, second):
        side.now += 0.02
    newer = second.open()
    await _talk(first, second, slow={held_up: 0.4})

    assert older.closed == (CloseCode.REPLACED, "the client connected again")
    assert newer.closed is None
    assert not first.moves._bounds
    assert not second.moves._bounds


@pytest.mark.parametrize("skew", _SKEWS)
@pytest.mark.parametrize("ids", ["ab", "ba"])
@pytest.mark.parametrize("is_half_open", [True, False], ids=["half open", "gone"])
async def test_news_that_come_late_do_not_end_the_only_connection(
    ids: str, skew: float, is_half_open: bool
) -> None:
    first, second = Side(ids[0], 10_000.0), Side(ids[1], 10_000.0 + skew)
    older = first.open()
    late = await first.said()
    for side in (first, second):
        side.now += 5
    newer = second.open()
    if not is_half_open:
        first.bench.hub.close(first.bench.hub.connections["me"], 1006, "")
    for data in late:
        second.moves.hear(data)
    await _talk(first, second, delay=3)
    await _talk(first, second)

    assert newer.closed is None
    assert older.closed == (
        (CloseCode.REPLACED, "the client connected again") if is_half_open else (1006, "")
    )


@pytest.mark.parametrize("ids", ["ab", "ba"])
async def test_of_two_that_come_at_once_one_remains(ids: str) -> None:
    sides = Side(ids[0], 10_000.0), Side(ids[1], 70.0)
    sockets = [side.open() for side in sides]
    await _talk(*sides)

    assert sorted(socket.closed is None for socket in sockets) == [False, True]


async def test_what_is_not_for_this_bridge_or_cannot_be_read_changes_nothing() -> None:
    side = Side("b", 1.0)
    socket = side.open()
    await side.said()
    other = Release(client_id="me", to="c", opened_at=1.0)
    gone = Release(client_id="me", to="b", opened_at=0.5)
    strange = Release(client_id="you", to="b", opened_at=1.0)
    side.moves.hear(
        Takeover(bridge_id="a", sent_at=1, news=[other, gone, strange]).model_dump_json().encode()
    )
    side.moves.hear(b"nonsense")
    side.moves.hear(b"{}")

    assert socket.closed is None
    assert await side.said() == []


async def test_what_came_while_a_message_was_under_way_is_told_in_the_next_one() -> None:
    bench = Bench()
    moves = Moves(bench.hub)
    told: list[list[str]] = []

    async def tell(verb: str, data: bytes) -> None:
        told.append([one.client_id for one in Takeover.model_validate_json(data).news])
        if len(told) == 1:
            for number in range(501):
                moves.came(bench.connect(client_id=f"{number}")[0])

    moves.came(bench.connect(client_id="first")[0])
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(moves.tell_for_ever(tell))
        while len(told) < 3:  # noqa: ASYNC110 - until all is told
            await asyncio.sleep(0)
        telling.cancel()

    assert [len(clients) for clients in told] == [1, 500, 1]
    assert told[2] == ["500"]
