"""What becomes of answers that do not come, or say nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from bridge.config import Settings
from bridge.core.connection import Connection
from bridge.core.counters import Counters
from bridge.service import Bridge
from bridge.web.arrival import has_come
from bridge.web.audit import Audit
from bridge.web.desk import REACH, SEND, SURVEY, Desk, answerers
from bridge.web.fleet import Fleet
from bridge.web.manager import ConnectionManager
from contracts import ContractError, WebSocketEvent
from contracts.cluster import Reach, Reached, Replies, Reply, Send, Survey
from tests.core.parts import Bench, FakeSocket, event


class Others:
    """Other bridges that answer what they are told to."""

    def __init__(self, **answers: bytes) -> None:
        self._answers = answers

    @property
    def peers(self) -> list[str]:
        return list(self._answers)

    async def ask(self, verb: str, question: bytes) -> Replies:
        return Replies(tuple(Reply(*answer) for answer in self._answers.items()), (), reachable=True)

    @asynccontextmanager
    async def follow(
        self, instance: str, verb: str, question: bytes, take: Callable[[bytes | None], None]
    ) -> AsyncIterator[None]:
        take(None)
        yield


class Slow(Others):
    """Other bridges that take their time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def ask(self, verb: str, question: bytes) -> Replies:
        await asyncio.sleep(self._seconds)
        return await super().ask(verb, question)


class Beside(Others):
    """One other bridge, which answers for itself."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk

    async def ask(self, verb: str, question: bytes) -> Replies:
        answer = await answerers(self._desk)[verb](question)
        return Replies((Reply(self._desk.instance, answer),), (), reachable=True)


class Stream:
    """Takes every event as the first."""

    async def publish(self, event: WebSocketEvent) -> int:
        return 1


def desk(instance: str, seconds: float = 0.05) -> Desk:
    return Desk(Bridge(Settings()).shore, instance, seconds=seconds)


async def test_a_bridge_that_answers_nonsense_is_missing() -> None:
    good = await desk("c").survey(Survey(limit=1))
    fleet = Fleet(desk("a"), Others(b=b"nonsense", c=good.model_dump_json().encode()))

    answers, cluster = await fleet.ask(SURVEY, Survey(limit=1))

    assert [instance for instance, _ in answers] == ["a", "c"]
    assert (cluster.answered, cluster.missing) == (["a", "c"], ["b"])


async def test_all_are_asked_at_once() -> None:
    fleet = Fleet(desk("a", seconds=0.4), Slow(0.4))
    began = monotonic()
    (own,), _ = await fleet.ask(REACH, Reach(epoch="", seq=1))

    assert monotonic() - began < 0.7
    assert own == ("a", Reached(reached=0, behind=0, is_known=False))


async def test_the_fault_of_one_is_raised_as_it_is_and_leaves_nobody_asking() -> None:
    fleet = Fleet(desk("a"), Slow(30))
    async with asyncio.timeout(5):
        with pytest.raises(ContractError):
            await fleet.ask(SEND, Send(text="x", subscription="no such"))


def audit() -> Audit:
    """Its events go nowhere."""
    return Audit("a", Stream(), Counters(), lambda work: work.close())


def manager_of(one: Desk, other: Desk) -> ConnectionManager:
    return ConnectionManager(Fleet(one, Beside(other)), Stream(), audit())


def connected(desk: Desk, *client_ids: str) -> None:
    now = asyncio.get_running_loop().time()
    for client_id in client_ids:
        desk.shore.hub.open(Connection(client_id, "global", FakeSocket(), now))


async def test_who_is_connected_to_two_bridges_is_listed_twice_and_once_on_each_page() -> None:
    """For as long as it takes the one to hear that the client is with the other."""
    a, b = desk("a"), desk("b")
    connected(a, "1", "2", "3")
    connected(b, "2", "4")
    manager = manager_of(a, b)

    pages, after = [], None
    for _ in range(5):
        page = (await manager.connections(Survey(limit=1, after=after))).data
        (shown,) = page.connections
        after = (shown.client_id, shown.instance)
        pages.append(after)
    assert pages == [("1", "a"), ("2", "a"), ("2", "b"), ("3", "a"), ("4", "b")]


async def test_bridges_that_were_given_the_same_name_both_count() -> None:
    a, namesake = desk("a"), desk("a")
    connected(a, "1", "2")
    connected(namesake, "3")
    manager = manager_of(a, namesake)

    listed = await manager.connections(Survey(limit=10))
    assert [connection.client_id for connection in listed.data.connections] == ["1", "2", "3"]
    assert listed.cluster.answered == ["a", "a"]
    assert [(await manager.disconnect(client_id)).instances for client_id in "13"] == [["a"], ["a"]]


async def test_bridges_to_which_an_event_has_not_come_in_time_are_missing_from_its_count() -> None:
    late = Reached(reached=0, behind=0, is_known=False).model_dump_json().encode()
    there = Reached(reached=3, behind=1, is_known=True).model_dump_json().encode()
    manager = ConnectionManager(Fleet(desk("a"), Others(b=late, c=there)), Stream(), audit())

    sent = await manager.broadcast_event(WebSocketEvent.create("custom.note"))

    assert (sent.connections_reached, sent.connections_behind) == (3, 1)
    assert (sent.cluster.answered, sent.cluster.missing) == (["c"], ["a", "b"])


async def test_an_event_is_awaited_until_it_comes() -> None:
    hub = Bench().hub
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(has_come(hub, 2, 10))
        while not hub.watchers:  # noqa: ASYNC110 - until it waits
            await asyncio.sleep(0)
        hub.publish(event(1))
        await asyncio.sleep(0)
        assert not waiting.done()
        hub.publish(event(3))

    assert waiting.result()
    assert hub.watchers == {}


async def test_an_event_that_does_not_come_is_given_up() -> None:
    hub = Bench().hub

    assert not await has_come(hub, 1, 0.01)
    assert hub.watchers == {}
