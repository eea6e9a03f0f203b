"""A publisher whose connection breaks at any byte: each event is in the stream once, in its order."""

import asyncio
from random import Random
from typing import Any

import pytest

from bridge.crew import EventPublisher
from contracts import create_execution_event
from tests.crew.stored import everything
from tests.proxy import Proxy, proxied

_TASKS, _EVENTS = 5, 300


async def _publish(publisher: EventPublisher, name: str, source: str) -> None:
    for number in range(_EVENTS):
        progress = number / _EVENTS
        await publisher.publish(create_execution_event(name, "progress", progress=progress, source=source))


async def _break(proxy: Proxy, random: Random) -> None:
    """Cut after some bytes of answers: the stream has the event, and its publisher does not know."""
    while True:
        proxy.cut_after(random.randrange(1, 6_000))
        await asyncio.sleep(random.uniform(0.05, 0.2))


async def test_acknowledgements_that_are_lost_cost_nothing_and_repeat_nothing(
    stream_url: str, source: str
) -> None:
    names = [f"{source}-{number}" for number in range(_TASKS)]
    async with proxied(stream_url) as proxy, asyncio.TaskGroup() as tasks:
        breaking = tasks.create_task(_break(proxy, Random(1)))
        async with EventPublisher(proxy.url) as publisher, asyncio.timeout(100):
            await asyncio.gather(*(_publish(publisher, name, source) for name in names))
        breaking.cancel()
        assert proxy.connections > 3

    stored = await everything(stream_url, source)
    for name in names:
        places = [m.event["data"]["progress"] for m in stored if m.event["execution_id"] == name]
        assert places == [number / _EVENTS for number in range(_EVENTS)]


async def test_a_connection_that_passes_nothing_on_is_given_up_within_seconds(
    stream_url: str, source: str
) -> None:
    async with proxied(stream_url) as proxy, EventPublisher(proxy.url) as publisher:
        await publisher.publish(create_execution_event("e1", "started", source=source))
        proxy.stall()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(
                publisher.publish(create_execution_event("e1", "completed", source=source))
            )
            await asyncio.wait([waiting], timeout=0.5)
            assert not waiting.done()
            proxy.resume()
    assert [message.type for message in await everything(stream_url, source)] == [
        "execution.started",
        "execution.completed",
    ]


def test_on_uvloop_too_an_event_outlives_a_connection_that_goes_while_it_is_used(
    stream_url: str, source: str
) -> None:
    """A transport that is closed raises RuntimeError there, out of what nats-py writes by itself."""
    uvloop = pytest.importorskip("uvloop")

    async def publish() -> list[str]:
        async with EventPublisher(stream_url) as publisher, asyncio.timeout(20):
            await publisher.publish(create_execution_event("e1", "started", source=source))
            assert publisher._link is not None
            client: Any = publisher._link._client
            client._flusher_task.cancel()
            await asyncio.wait([client._flusher_task])
            client._transport._io_writer.transport.abort()
            await publisher.publish(create_execution_event("e1", "completed", source=source))
        return [message.type for message in await everything(stream_url, source)]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(publish()) == ["execution.started", "execution.completed"]
