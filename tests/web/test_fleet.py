"""What becomes of answers that do not come, or say nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bridge.config import Settings
from bridge.service import Bridge
from bridge.web.arrival import has_come
from bridge.web.desk import SURVEY, Desk
from bridge.web.fleet import Fleet
from bridge.web.manager import ConnectionManager
from contracts import WebSocketEvent
from contracts.cluster import Reached, Replies, Reply, Survey
from tests.core.parts import Bench, event


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


class Stream:
    """Takes every event as the first."""

    async def publish(self, event: WebSocketEvent) -> int:
        return 1


def desk(instance: str) -> Desk:
    return Desk(Bridge(Settings()).shore, instance, seconds=0.05)


async def test_a_bridge_that_answers_nonsense_is_missing() -> None:
    good = await desk("c").survey(Survey(limit=1))
    fleet = Fleet(desk("a"), Others(b=b"nonsense", c=good.model_dump_json().encode()))

    answers, cluster = await fleet.ask(SURVEY, Survey(limit=1))

    assert answers.keys() == {"a", "c"}
    assert (cluster.answered, cluster.missing) == (["a", "c"], ["b"])


async def test_bridges_to_which_an_event_has_not_come_in_time_are_missing_from_its_count() -> None:
    late = Reached(reached=0, behind=0, is_known=False).model_dump_json().encode()
    there = Reached(reached=3, behind=1, is_known=True).model_dump_json().encode()
    manager = ConnectionManager(Fleet(desk("a"), Others(b=late, c=there)), Stream())

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
