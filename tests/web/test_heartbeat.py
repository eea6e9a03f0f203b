"""How a client knows that it is connected, and how the bridge knows that a client is."""

import asyncio
import json
import signal
from datetime import datetime

import pytest

from bridge.crew import EventPublisher
from contracts import create_task_event
from tests.client import PREFIX, Json, Listener
from tests.conftest import Client, StartBridge
from tests.processes import bridge_process
from tests.web.raw import PING, TEXT, raw_client


async def _heartbeat(listener: Listener) -> Json:
    while True:
        message: Json = json.loads(await listener.socket.recv())
        if message.get("event_type") == "connection.heartbeat":
            return message


async def test_a_heartbeat_says_where_the_log_is_and_from_where_to_resume(
    start_bridge: StartBridge, publisher: EventPublisher, new_id: str
) -> None:
    async with start_bridge(heartbeat_seconds=0.1) as bridge:
        async with bridge.connect(f"executions/{new_id}") as listener:
            await publisher.publish(create_task_event("t1", "completed", execution_id=new_id))
            await publisher.publish(create_task_event("t2", "completed", execution_id="other"))
            assert (await listener.message())["task_id"] == "t1"
            heartbeat = await _heartbeat(listener)
            position = heartbeat["data"].pop("position")
            assert position.startswith(f"{listener.first['head'] + 2}-")
            assert heartbeat["data"] == {
                "epoch": f"{listener.first['epoch'].partition('-')[0]}-{position}",
                "head": listener.first["head"] + 2,
                "cursor": listener.first["head"] + 2,
            }
            assert datetime.fromisoformat(heartbeat["timestamp"]).tzinfo is not None
            assert "seq" not in heartbeat

        await publisher.publish(create_task_event("t3", "completed", execution_id=new_id))
        pair = {"since": heartbeat["data"]["cursor"], "epoch": heartbeat["data"]["epoch"]}
        for cursor in ({"since": position}, pair):
            async with bridge.connect(f"executions/{new_id}", **cursor) as again:
                assert again.first["recovery"]["recovered"]
                assert [event["task_id"] for event in await again.events(1)] == ["t3"]
                assert await again.nothing_more()


async def test_beside_a_heartbeat_comes_a_ping_that_every_client_answers_by_itself(
    start_bridge: StartBridge,
) -> None:
    async with start_bridge(heartbeat_seconds=0.1) as bridge, raw_client(bridge, "custom") as client:
        opcode, payload = await client.frame()
        assert (opcode, json.loads(payload)["event_type"]) == (TEXT, "connection.heartbeat")
        assert await client.frame() == (PING, b"")


@pytest.mark.parametrize("heartbeat_seconds", [0.1, 60.0], ids=["asked", "never asked"])
async def test_a_client_from_which_nothing_is_heard_is_cut_off_with_4002(
    start_bridge: StartBridge, heartbeat_seconds: float
) -> None:
    async with (
        start_bridge(heartbeat_seconds=heartbeat_seconds, stale_seconds=0.5) as bridge,
        raw_client(bridge, "custom") as silent,
    ):
        assert await _last_cleanup(bridge) is None
        assert await silent.closing() == (4002, "nothing was heard from you")
        cleanup = await _last_cleanup(bridge)
        assert cleanup is not None
        assert datetime.fromisoformat(cleanup).tzinfo is not None


async def test_a_client_that_answers_pings_stays(start_bridge: StartBridge) -> None:
    async with (
        start_bridge(heartbeat_seconds=0.1, stale_seconds=1.5) as bridge,
        raw_client(bridge, "custom") as silent,
        bridge.connect("custom") as alive,
    ):
        assert (await silent.closing())[0] == 4002
        assert await alive.nothing_more()


async def _last_cleanup(bridge: Client) -> str | None:
    _, body = await bridge.get(f"{PREFIX}/health")
    cleanup: str | None = body["last_cleanup"]
    return cleanup


async def test_a_bridge_that_was_stopped_holds_its_own_silence_against_nobody(
    nats_url: str, publisher: EventPublisher, new_id: str
) -> None:
    impatient = {"heartbeat_seconds": 0.5, "stale_seconds": 1.5, "stalled_seconds": 1.5}
    async with bridge_process(nats_url=nats_url, feed_heartbeat_seconds=0.2, **impatient) as process:
        bridge = process.client
        async with bridge.connect(f"executions/{new_id}") as listener:
            await _heartbeat(listener)
            _, before = await bridge.get("/metrics")
            process.process.send_signal(signal.SIGSTOP)
            await publisher.publish(create_task_event("t1", "completed", execution_id=new_id))
            await asyncio.sleep(5)  # what is tested is so long a time
            process.process.send_signal(signal.SIGCONT)
            assert [event["task_id"] for event in await listener.events(1)] == ["t1"]
            for _ in range(3):
                await _heartbeat(listener)
            await publisher.publish(create_task_event("t2", "completed", execution_id=new_id))
            assert [event["task_id"] for event in await listener.events(1)] == ["t2"]
            _, numbers = await bridge.get("/metrics")

    assert _resets(numbers) == _resets(before)


def _resets(numbers: str) -> list[str]:
    return [line for line in numbers.splitlines() if line.startswith("crew_bridge_feed_resets_total")]
