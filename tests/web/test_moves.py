"""A client that moves to another bridge is let go of where it was, and nobody else is."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import nats
import pytest
from websockets.exceptions import ConnectionClosed

from bridge.core.socket import CloseCode
from bridge.crew import EventPublisher
from bridge.web.moves import Moves
from contracts import create_task_event
from contracts.cluster import Arrival, Arrivals
from tests.client import PREFIX, Listener
from tests.conftest import Client
from tests.core.parts import Bench
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
                news = Arrivals.model_validate_json((await told.next_msg(10)).data)
                found += [arrival.client_id for arrival in news.clients]
    await overhearing.close()

    assert found == [f"{new_id}-{number}" for number in range(3)]


def _arrivals(at_ns: int, bridge_id: str = "0") -> bytes:
    arrival = Arrival(client_id="me", at_ns=at_ns)
    return Arrivals(bridge_id=bridge_id, clients=[arrival]).model_dump_json().encode()


async def test_only_who_came_earlier_is_let_go_of() -> None:
    bench = Bench()
    moves = Moves(bench.hub)
    connection, socket = bench.connect("global")
    connection.opened_ns = 1000

    for earlier in (_arrivals(999, "~"), _arrivals(1000, "0"), b"nonsense", b"{}"):
        moves.hear(earlier)
        assert socket.closed is None
    # Of two that came in the same nanosecond, the bridges' ids say which remains.
    moves.hear(_arrivals(1000, "~"))
    assert socket.closed == (CloseCode.REPLACED, "the client connected again")
    moves.hear(_arrivals(2000))


async def test_what_came_while_a_message_was_under_way_is_told_in_the_next_one() -> None:
    bench = Bench()
    moves = Moves(bench.hub)
    told: list[list[str]] = []

    async def tell(verb: str, data: bytes) -> None:
        told.append([arrival.client_id for arrival in Arrivals.model_validate_json(data).clients])
        if len(told) == 1:
            for number in range(1001):
                moves.came(bench.connect(client_id=f"{number}")[0])

    moves.came(bench.connect(client_id="first")[0])
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(moves.tell_for_ever(tell))
        while len(told) < 3:  # noqa: ASYNC110 - until all is told
            await asyncio.sleep(0)
        telling.cancel()

    assert [len(clients) for clients in told] == [1, 1000, 1]
    assert told[2] == ["1000"]
