"""Compression: who asks for it gets it, and reads the same; nobody else notices."""

import json

import pytest
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from bridge.crew import EventPublisher
from contracts import create_task_event
from tests.client import PREFIX
from tests.conftest import StartBridge
from tests.web.test_tap import tapped

WORDS = "the same words again and again, " * 20


@pytest.mark.parametrize("compression", [True, False])
@pytest.mark.parametrize("offer", ["deflate", None])
@pytest.mark.parametrize("batch", ["", "?batch=1"])
async def test_everybody_reads_the_same(
    start_bridge: StartBridge,
    publisher: EventPublisher,
    new_id: str,
    compression: bool,
    offer: str | None,
    batch: str,
) -> None:
    async with start_bridge(compression=compression) as bridge:
        address = f"{bridge.url.replace('http', 'ws')}{PREFIX}/ws/executions/{new_id}{batch}"
        async with connect(address, compression=offer) as socket:
            assert json.loads(await socket.recv())["event_type"] == "connection.established"
            assert len(socket.protocol.extensions) == (compression and offer is not None)

            await publisher.publish(create_task_event("t1", "completed", execution_id=new_id, result=WORDS))
            await socket.send(json.dumps({"action": "ping", "id": WORDS[:100]}))
            found = [json.loads(await socket.recv()) for _ in range(2)]

    flat = [message for one in found for message in (one if isinstance(one, list) else [one])]
    assert {message.get("event_type", message.get("type")) for message in flat} == {"pong", "task.completed"}
    assert WORDS in {message["data"]["result"] for message in flat if "data" in message}


async def test_a_client_with_too_small_a_window_is_sent_plain_messages(
    start_bridge: StartBridge, publisher: EventPublisher, new_id: str
) -> None:
    async with start_bridge(compression=True) as bridge:
        address = f"{bridge.url.replace('http', 'ws')}{PREFIX}/ws/executions/{new_id}"
        small = ClientPerMessageDeflateFactory(server_max_window_bits=9)
        async with connect(address, compression=None, extensions=[small]) as socket:
            await socket.recv()
            await publisher.publish(create_task_event("t1", "completed", execution_id=new_id, result=WORDS))

            assert json.loads(await socket.recv())["data"]["result"] == WORDS


@pytest.mark.parametrize("batch", ["", "&batch=1"])
async def test_a_tap_shows_what_was_compressed_as_the_client_reads_it(
    start_bridge: StartBridge, publisher: EventPublisher, new_id: str, batch: str
) -> None:
    async with start_bridge(compression=True) as bridge:
        address = (
            f"{bridge.url.replace('http', 'ws')}{PREFIX}/ws/executions/{new_id}?client_id={new_id}{batch}"
        )
        async with connect(address, compression="deflate") as socket, tapped(bridge, new_id) as tap:
            await socket.recv()
            await publisher.publish(create_task_event("t1", "completed", execution_id=new_id, result=WORDS))
            line = await tap.line()
            assert line["message"] == json.loads(await socket.recv())
            assert line["bytes"] < len(WORDS)
