"""What the README promises, kept by the real parts together."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError

import nats
import pytest
from websockets.exceptions import ConnectionClosed

from bridge.crew import EventPublisher
from contracts import create_task_event
from tests.client import Listener
from tests.conftest import Client
from tests.nats_server import NatsServer
from tests.processes import bridge_process


async def test_a_browser_that_was_away_gets_what_it_missed_once_and_in_order(
    bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    async with bridge.connect(f"executions/{new_id}") as first:
        await publisher.publish(create_task_event("t0", "completed", execution_id=new_id))
        last = (await first.message())["position"]

    for number in range(1, 51):
        await publisher.publish(create_task_event(f"t{number}", "completed", execution_id=new_id))

    async with bridge.connect(f"executions/{new_id}", since=last) as second:
        assert second.first["recovery"]["count"] == 50
        assert [event["task_id"] for event in await second.events(50)] == [f"t{n}" for n in range(1, 51)]
        assert await second.nothing_more()


async def test_bare_subjects_of_a_plain_nats_client_arrive_filled_in_and_the_same_in_a_replay(
    bridge: Client, new_id: str
) -> None:
    async with bridge.connect(f"executions/{new_id}") as listener:
        client = await nats.connect(bridge.nats_url)
        body = {"execution_id": new_id, "task_id": "t1", "data": {"result": "done"}}
        await client.publish("task.completed", json.dumps(body).encode())
        failed = {"execution_id": new_id, "data": {"error": "no"}}
        await client.publish("task.failed", json.dumps(failed).encode())
        await client.publish("task.completed", b'{"data":{"result":"of nobody"}}')
        await client.close()
        live = [await listener.socket.recv(), await listener.socket.recv()]
        assert await listener.nothing_more()

    begin, epoch = listener.first["cursor"], listener.first["epoch"]
    first, second = map(json.loads, live)
    created = epoch.partition("-")[0]
    assert first["event_id"] == f"{created}-{first['position']}"
    assert (first["seq"], first["event_type"], first["priority"]) == (begin + 1, "task.completed", "normal")
    assert (first["execution_id"], first["task_id"], first["data"]) == (new_id, "t1", {"result": "done"})
    assert datetime.now(UTC) - datetime.fromisoformat(first["timestamp"]) < timedelta(minutes=1)
    assert (second["event_id"], second["priority"]) == (f"{created}-{second['position']}", "high")

    async with bridge.connect(f"executions/{new_id}", since=begin, epoch=epoch) as again:
        assert [await again.socket.recv(), await again.socket.recv()] == live
        assert await again.nothing_more()


async def test_a_bridge_that_is_told_to_stop_sends_everybody_away_and_the_next_one_goes_on(
    tmp_path: Path, new_id: str
) -> None:
    settings = {"nats_url": "embedded", "data_dir": tmp_path}
    async with bridge_process(**settings) as bridge:
        client = bridge.client
        server = _child(bridge.process.pid)
        async with client.connect(f"executions/{new_id}") as listener:
            await _publish(client.nats_url, new_id, 200)
            bridge.process.send_signal(signal.SIGTERM)
            got = [json.loads(message) async for message in _until_closed(listener)]
            assert 4000 <= (listener.socket.close_code or 0) <= 4499
            assert json.loads(listener.socket.close_reason or "")["retry_after_ms"] > 0
        assert await bridge.ended() == 0
        assert not _is_alive(server)
        with pytest.raises(URLError):
            await client.get("/readyz")
    seqs = [event["seq"] for event in got]
    assert seqs == list(range(1, len(seqs) + 1))

    async with bridge_process(**settings) as bridge:
        since = got[-1]["position"]
        async with bridge.client.connect(f"executions/{new_id}", since=since) as listener:
            assert listener.first["recovery"]["recovered"]
            await _publish(bridge.client.nats_url, new_id, 1)
            missed = await listener.events(201 - len(seqs))
            assert [event["seq"] for event in missed] == list(range(len(seqs) + 1, 202))
            assert await listener.nothing_more()


def _child(parent: int) -> int:
    """The process that ``parent`` started."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    (child,) = [int(c) for c in children if b"nats-server" in Path(f"/proc/{c}/cmdline").read_bytes()]
    return child


def _is_alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


async def _publish(nats_url: str, execution_id: str, count: int) -> None:
    async with EventPublisher(nats_url) as publisher:
        for number in range(count):
            await publisher.publish(create_task_event(f"t{number}", "completed", execution_id=execution_id))


async def _until_closed(listener: Listener) -> AsyncIterator[str | bytes]:
    with suppress(ConnectionClosed):
        while True:
            yield await listener.socket.recv()


async def test_a_bridge_is_told_to_stop_while_nats_hangs_and_ends_all_the_same(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    server.start()
    try:
        async with bridge_process(nats_url=server.url) as bridge, bridge.client.connect("global") as listener:
            server.suspend()
            bridge.process.send_signal(signal.SIGTERM)
            _ = [message async for message in _until_closed(listener)]
            assert listener.socket.close_code == 4000
            assert await bridge.ended() == 0
    finally:
        server.resume()
        server.stop()
