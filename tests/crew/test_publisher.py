"""An application's own events: published once, acknowledged, however long NATS takes to be there."""

import asyncio

import pytest

from bridge.crew import EventPublisher
from contracts import WebSocketEvent, create_execution_event, create_queue_event, create_task_event
from tests.crew.stored import everything
from tests.nats_server import NatsServer


async def test_a_published_event_is_in_the_stream_under_its_own_id(stream_url: str, source: str) -> None:
    event = create_task_event("t1", "completed", crew_id="c1", execution_id="e1", source=source, result="yes")

    async with EventPublisher(stream_url) as publisher:
        await publisher.publish(event)

    (stored,) = await everything(stream_url, source)
    assert stored.subject == "task.completed.c1.e1"
    assert stored.headers == {"Nats-Msg-Id": event.event_id, "Nats-Expected-Stream": "CREW_EVENTS"}
    assert WebSocketEvent.from_json(stored.payload) == event


async def test_an_event_published_twice_is_stored_once(stream_url: str, source: str) -> None:
    event = create_queue_event("inbox", "task_added", source=source)

    async with EventPublisher(stream_url) as publisher:
        await publisher.publish(event)
        await publisher.publish(event)

    assert len(await everything(stream_url, source)) == 1


async def test_of_several_servers_one_that_answers_is_enough(stream_url: str, source: str) -> None:
    async with EventPublisher(f"nats://127.0.0.1:1, {stream_url}") as publisher:
        await publisher.publish(create_queue_event("inbox", "cleared", source=source))

    assert len(await everything(stream_url, source)) == 1


async def test_credentials_of_the_address_are_sent_decoded_and_those_of_the_options_before_them(
    mortal_server: NatsServer, source: str
) -> None:
    mortal_server.configure('authorization { user: crew, password: "p ss" }')
    mortal_server.start()
    address = mortal_server.url.removeprefix("nats://")
    await mortal_server.make_stream(url=f"nats://crew:p ss@{address}")

    async with asyncio.timeout(10), EventPublisher(f"nats://crew:p%20ss@{address}") as publisher:
        await publisher.publish(create_queue_event("inbox", "cleared", source=source))
    options = {"user": "crew", "password": "p ss"}
    async with (
        asyncio.timeout(10),
        EventPublisher(f"nats://wrong:wrong@{address}", nats_options=options) as publisher,
    ):
        await publisher.publish(create_queue_event("inbox", "cleared", source=source))

    assert len(await everything(f"nats://crew:p ss@{address}", source)) == 2


async def test_only_short_lived_events_expire(stream_url: str, source: str) -> None:
    async with EventPublisher(stream_url) as publisher:
        await publisher.publish(create_execution_event("e1", "progress", progress=0.5, source=source))
        await publisher.publish(create_execution_event("e1", "completed", source=source))

    progress, completed = await everything(stream_url, source)
    assert progress.headers["Nats-TTL"] == "300"
    assert "Nats-TTL" not in completed.headers


async def test_a_stream_that_takes_no_expiry_gets_none(mortal_server: NatsServer, source: str) -> None:
    mortal_server.start()
    await mortal_server.make_stream(expiring=False)

    async with EventPublisher(mortal_server.url) as publisher:
        await publisher.publish(create_execution_event("e1", "progress", progress=0.5, source=source))

    (stored,) = await everything(mortal_server.url, source)
    assert "Nats-TTL" not in stored.headers


async def test_events_wait_for_the_server_and_for_its_stream(mortal_server: NatsServer, source: str) -> None:
    mortal_server.start()
    mortal_server.stop()
    events = [create_task_event(f"t{n}", "completed", source=source) for n in range(20)]

    async with EventPublisher(mortal_server.url) as publisher, asyncio.TaskGroup() as group:
        waiting = [group.create_task(publisher.publish(event)) for event in events]
        await asyncio.wait(waiting, timeout=0.2)
        mortal_server.start()
        await asyncio.wait(waiting, timeout=0.2)
        assert not any(task.done() for task in waiting)
        await mortal_server.make_stream()

    stored = await everything(mortal_server.url, source)
    assert {message.event["task_id"] for message in stored} == {f"t{n}" for n in range(20)}
    assert len(stored) == 20


async def test_a_killed_server_that_comes_back_loses_no_event(mortal_server: NatsServer, source: str) -> None:
    mortal_server.start()
    await mortal_server.make_stream()

    async with EventPublisher(mortal_server.url) as publisher:
        await publisher.publish(create_task_event("before", "completed", source=source))
        mortal_server.kill()
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(
                publisher.publish(create_task_event("during", "completed", source=source))
            )
            await asyncio.wait([waiting], timeout=0.3)
            mortal_server.start()

    stored = await everything(mortal_server.url, source)
    assert [message.event["task_id"] for message in stored] == ["before", "during"]


async def test_an_event_that_no_server_takes_is_an_error(stream_url: str, source: str) -> None:
    huge = create_task_event("t1", "completed", source=source, result="x" * 2_000_000)

    async with EventPublisher(stream_url) as publisher:
        with pytest.raises(ValueError, match="more than the server takes"):
            await publisher.publish(huge)
        await publisher.publish(create_task_event("t2", "completed", source=source))

    (stored,) = await everything(stream_url, source)
    assert stored.event["task_id"] == "t2"


async def test_who_may_only_publish_may_publish(
    tmp_path_factory: pytest.TempPathFactory, source: str
) -> None:
    """Without the right to ask about the stream, nothing is known of expiry, and nothing else is missing."""
    directory = tmp_path_factory.mktemp("restricted")
    server = NatsServer(directory)
    server.configure(
        """
        authorization {
          users = [
            {user: owner, password: pw}
            {user: worker, password: pw, permissions: {
              publish: ["task.>", "execution.>"], subscribe: ["_INBOX.>"]
            }}
          ]
        }
        """
    )
    server.start()
    host = server.url.removeprefix("nats://")
    owner, worker = f"nats://owner:pw@{host}", f"nats://worker:pw@{host}"
    try:
        await server.make_stream(url=owner)
        async with EventPublisher(worker) as publisher:
            await publisher.publish(create_execution_event("e1", "progress", progress=1.0, source=source))
        (stored,) = await everything(owner, source)
        assert "Nats-TTL" not in stored.headers
    finally:
        server.stop()


async def test_who_gives_up_waiting_gets_out(source: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3), EventPublisher("nats://127.0.0.1:1") as publisher:
            await publisher.publish(create_task_event("t1", "completed", source=source))


async def test_who_is_cancelled_at_any_moment_ends(stream_url: str, source: str) -> None:
    """nats-py loses cancellations that come while it connects or flushes."""

    async def publish_for_ever() -> None:
        async with EventPublisher(stream_url) as publisher:
            while True:
                await publisher.publish(create_queue_event("inbox", "cleared", source=source))

    for tenths in range(200):
        async with asyncio.TaskGroup() as tasks:
            publishing = tasks.create_task(publish_for_ever())
            await asyncio.wait([publishing], timeout=tenths / 10_000)
            publishing.cancel()
            await asyncio.wait([publishing], timeout=10)
            assert publishing.cancelled()


async def test_who_cleans_up_after_a_cancellation_may_still_publish(stream_url: str, source: str) -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            async with EventPublisher(stream_url) as publisher:
                await publisher.publish(
                    create_execution_event("e1", "failed", error="stopped", source=source)
                )

    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        working = tasks.create_task(work())
        await asyncio.wait([working], timeout=0.01)
        working.cancel()

    assert [message.type for message in await everything(stream_url, source)] == ["execution.failed"]
