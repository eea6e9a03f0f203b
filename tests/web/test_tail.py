"""The view in a terminal goes on where it was, whatever becomes of its connection and of the stream."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import nats
import pytest

from bridge.crew import EventPublisher
from bridge.web.tail import TailRefusedError, tail
from contracts import create_task_event
from tests.client import PREFIX
from tests.conftest import Client, StartBridge
from tests.nats_server import served
from tests.proxy import proxied
from tests.waiting import soon, until


@pytest.fixture(scope="module")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The stream is deleted here, which concerns the tests of this file only."""
    with served(tmp_path_factory.mktemp("nats")) as url:
        yield url


@asynccontextmanager
async def tailing(bridge: Client, url: str, execution_id: str) -> AsyncIterator[list[str]]:
    """The lines of a tail that has subscribed."""
    lines: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        subscription = f"execution_{execution_id}"
        task = tasks.create_task(tail(f"{url}{PREFIX}", [subscription], since=None, out=lines.append))
        await soon(lambda: _subscribed(bridge, subscription))
        yield lines
        task.cancel()


async def _subscribed(bridge: Client, subscription: str) -> list[Any]:
    _, body = await bridge.get(f"{PREFIX}/connections?subscription={subscription}")
    return list(body["data"]["connections"])


async def _end(bridge: Client, execution_id: str) -> None:
    (connection,) = await _subscribed(bridge, f"execution_{execution_id}")
    await bridge.send("POST", f"{PREFIX}/disconnect/{connection['client_id']}")


def _tasks(lines: list[str]) -> list[str]:
    return [line.split()[4] for line in lines if "task.completed" in line]


async def _publish(publisher: EventPublisher, execution_id: str, *tasks: str) -> None:
    for task in tasks:
        await publisher.publish(create_task_event(task, "completed", execution_id=execution_id))


async def test_what_happens_before_the_first_event_was_shown_is_not_missed(
    bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    async with tailing(bridge, bridge.url, new_id) as lines:
        await _end(bridge, new_id)
        await _publish(publisher, new_id, "t1")
        await until(lambda: _tasks(lines))

    assert _tasks(lines) == ["t1"]
    assert "-- connection closed (4003); coming back" in lines


async def test_after_the_stream_was_made_anew_nothing_is_shown_twice(
    start_bridge: StartBridge, publisher: EventPublisher, new_id: str
) -> None:
    async with (
        start_bridge(feed_heartbeat_seconds=0.2) as bridge,
        tailing(bridge, bridge.url, new_id) as lines,
    ):
        await _publish(publisher, new_id, "t1")
        await until(lambda: len(_tasks(lines)) == 1)
        client = await nats.connect(bridge.nats_url)
        await client.jetstream().delete_stream("CREW_EVENTS")
        await client.close()
        async with asyncio.timeout(60):
            await _publish(publisher, new_id, "t2")
        await until(lambda: len(_tasks(lines)) == 2)
        await _end(bridge, new_id)
        await _publish(publisher, new_id, "t3")
        await until(lambda: len(_tasks(lines)) >= 3)

    assert _tasks(lines) == ["t1", "t2", "t3"]


async def test_a_bridge_that_says_nothing_any_more_is_left(
    bridge: Client, publisher: EventPublisher, new_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.web.tail._PING_SECONDS", 0.4)
    async with proxied(bridge.url) as proxy, tailing(bridge, proxy.url, new_id) as lines:
        proxy.stall()
        await _publish(publisher, new_id, "t1")
        await until(lambda: any("coming back" in line for line in lines))
        proxy.cut()
        proxy.resume()
        await until(lambda: _tasks(lines))

    assert _tasks(lines) == ["t1"]


async def test_what_will_never_be_shown_ends_it(bridge: Client) -> None:
    with pytest.raises(TailRefusedError, match=r"refused: subscriptions\.0 is neither"):
        await tail(f"{bridge.url}{PREFIX}", ["no subscription"], since=None, out=print)
    with pytest.raises(TailRefusedError, match="answers 404"):
        await tail(f"{bridge.url}/elsewhere", ["global"], since=None, out=print)
