"""What NATS will never take is passed over, counted and told; nothing behind it waits."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest

from bridge.crew import EventPublisher
from bridge.crew.message import Message
from contracts import WebSocketEvent, create_task_event
from tests.crew.stored import everything
from tests.crew.test_courier import Hire, hire, tasks
from tests.nats_server import NatsServer
from tests.waiting import until

__all__ = ["hire"]

_LIMIT = 8192
_SERVER = """
max_payload: 8192
authorization {
  users: [
    {user: all, password: all}
    {user: few, password: few, permissions: {publish: {deny: ["llm.>"]}}}
  ]
}
"""


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[NatsServer]:
    """A server with a small limit, and a user who may not publish everything."""
    (tmp_path / "nats").mkdir()
    server = NatsServer(tmp_path / "nats")
    server.configure(_SERVER)
    server.start()
    yield server
    server.stop()


def _url(server: NatsServer, user: str) -> str:
    return server.url.replace("nats://", f"nats://{user}:{user}@")


def _of_size(name: str, source: str, size: int) -> WebSocketEvent:
    """An event whose payload has exactly ``size`` bytes."""
    empty = create_task_event(name, "completed", source=source, result="")
    missing = size - len(empty.to_json().encode())
    return empty.model_copy(update={"data": empty.data.model_copy(update={"result": "x" * missing})})


def _chunk(number: int, source: str) -> WebSocketEvent:
    return WebSocketEvent.create("llm.chunk", {"text": str(number)}, source=source)


@pytest.mark.parametrize("below", [0, 1, 30])
async def test_what_only_its_headers_make_too_large_is_counted_as_lost(
    hire: Hire, limited: NatsServer, source: str, below: int
) -> None:
    await limited.make_stream(url=_url(limited, "all"))
    outbox, courier = hire(_url(limited, "all"))
    outbox.put(Message.of(create_task_event("before", "completed", source=source)))
    outbox.put(Message.of(_of_size("large", source, _LIMIT - below)))
    outbox.put(Message.of(create_task_event("after", "completed", source=source)))

    assert courier.flush(10)
    assert tasks(await everything(_url(limited, "all"), source)) == ["before", "after"]
    assert courier.accounts.losses()["refused"] == 1


async def test_what_may_not_be_published_holds_up_nothing(
    hire: Hire, limited: NatsServer, source: str
) -> None:
    await limited.make_stream(url=_url(limited, "all"))
    outbox, courier = hire(_url(limited, "few"))
    for number in range(300):
        outbox.put(Message.of(_chunk(number, source)))
    names = [f"t{number}" for number in range(20)]
    for name in names:
        outbox.put(Message.of(create_task_event(name, "completed", source=source)))

    async with asyncio.timeout(20):
        while tasks(await everything(_url(limited, "all"), source)) != names:
            await asyncio.to_thread(courier.flush, 1)
    await until(lambda: courier.accounts.losses()["denied"] == 300)


async def test_who_publishes_by_itself_is_told_why_it_cannot(limited: NatsServer, source: str) -> None:
    await limited.make_stream(url=_url(limited, "all"))
    async with asyncio.timeout(20), EventPublisher(_url(limited, "few")) as publisher:
        with pytest.raises(ValueError, match="more than the server takes"):
            await publisher.publish(_of_size("large", source, _LIMIT))
        with pytest.raises(PermissionError, match=r"llm\.chunk"):
            await publisher.publish(_chunk(1, source))
        await publisher.publish(create_task_event("after", "completed", source=source))

    assert tasks(await everything(_url(limited, "all"), source)) == ["after"]


async def test_a_full_stream_is_waited_for_and_a_full_subject_is_not(
    hire: Hire, limited: NatsServer, source: str
) -> None:
    url = _url(limited, "all")
    await limited.make_stream(url=url, discard="new", discard_new_per_subject=True, max_msgs_per_subject=1)
    outbox, courier = hire(url)
    for name in ("one", "two"):
        outbox.put(Message.of(create_task_event(name, "completed", source=source, execution_id=source)))
    outbox.put(Message.of(create_task_event("three", "progress", source=source, execution_id=source)))

    assert courier.flush(10)
    assert tasks(await everything(url, source)) == ["one", "three"]
    assert courier.accounts.losses()["refused"] == 1

    client = await nats.connect(url)
    jetstream = client.jetstream()
    info = await jetstream.stream_info("CREW_EVENTS")
    await jetstream.update_stream(info.config, max_msgs=info.state.messages, discard_new_per_subject=False)
    outbox.put(Message.of(create_task_event("four", "assigned", source=source, execution_id=source)))
    assert courier.flush(4), "neither stored nor on disk"
    await jetstream.update_stream(info.config, max_msgs=-1, discard_new_per_subject=False)
    async with asyncio.timeout(20):
        while "four" not in tasks(await everything(url, source)):
            await client.flush()
    await client.close()
