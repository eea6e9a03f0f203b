"""A real crew in one process, the bridge in another: what a browser is given is what the crew did."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import pytest

from tests.client import Client, Listener
from tests.crew.crewai_process import CrewProcess, interpreter
from tests.crew.stored import Stored, everything
from tests.crew.truth import assert_complete, assert_dense
from tests.nats_server import NatsServer
from tests.processes import process

SENTINEL = b"sk-SENTINEL-3f9a1c7e"


@pytest.fixture
def nats_url(tmp_path: Path) -> Iterator[str]:
    """A server whose stream holds what this crew did, and nothing else."""
    directory = tmp_path / "nats"
    directory.mkdir()
    server = NatsServer(directory)
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def crew(tmp_path: Path) -> CrewProcess:
    """Scenarios with the newest CrewAI."""
    return CrewProcess(interpreter("CREW_BRIDGE_CREWAI_PYTHON", ".venv-crewai"), tmp_path)


async def test_every_event_of_a_real_crew_arrives_once_and_in_order_and_nowhere_else(
    crew: CrewProcess, nats_url: str, tmp_path: Path, new_id: str
) -> None:
    chosen, other, idle = f"{new_id}-1", f"{new_id}-2", f"{new_id}-3"
    with process(tmp_path / "bridge", "serve", nats_url=nats_url, port=0) as serving:
        bridge = await Client.of(serving.bridge())
        async with (
            bridge.connect(f"executions/{chosen}") as first,
            bridge.connect(f"executions/{other}") as second,
            bridge.connect(f"executions/{idle}") as third,
            asyncio.TaskGroup() as tasks,
        ):
            received = [tasks.create_task(_until_pong(listener)) for listener in (first, second, third)]
            await asyncio.to_thread(crew.run, "named", chosen, other, nats_url=nats_url, source=new_id)
            stored = await everything(nats_url, new_id)
            await _has_all(bridge, nats_url)
            for listener in (first, second, third):
                await listener.socket.send('{"action":"ping"}')
        async with bridge.connect(f"executions/{chosen}", since=0) as late:
            await late.socket.send('{"action":"ping"}')
            replayed = await _until_pong(late)

    assert_complete(json.loads(crew.truth.read_text()), stored)
    assert_dense(stored)
    _assert_is(
        received[0].result(), [message for message in stored if message.event["execution_id"] == chosen]
    )
    _assert_is(
        received[1].result(), [message for message in stored if message.event["execution_id"] == other]
    )
    assert received[2].result() == []
    assert replayed == received[0].result()


async def _until_pong(listener: Listener) -> list[bytes]:
    """What comes before the answer to a ping, as it is on the wire, without heartbeats."""
    messages: list[bytes] = []
    async with asyncio.timeout(100):
        while b'"type":"pong"' not in (message := await listener.socket.recv(decode=False))[:20]:
            if b'"connection.heartbeat"' not in message:
                messages.append(message)
    return messages


async def _has_all(bridge: Client, nats_url: str) -> None:
    """Wait until the bridge has what the stream holds."""
    client = await nats.connect(nats_url)
    last = (await client.jetstream().stream_info("CREW_EVENTS")).state.last_seq
    await client.close()
    async with asyncio.timeout(10):
        while (await bridge.get("/readyz"))[1]["head"] < last:
            pass


def _assert_is(received: list[bytes], stored: list[Stored]) -> None:
    """Each stored event came once, in order, as it was published, with ``seq`` in front."""
    events: list[dict[str, Any]] = [json.loads(message) for message in received]
    assert {"execution.started", "task.completed", "tool.failed", "llm.chunk", "execution.completed"} <= {
        event["event_type"] for event in events
    }
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert [event["event_id"] for event in events] == [message.event["event_id"] for message in stored]
    seqs = [event["seq"] for event in events]
    assert seqs == sorted(set(seqs))
    for message, origin in zip(received, stored, strict=True):
        assert message.startswith(b'{"seq":')
        assert message.endswith(origin.payload[1:])
        assert SENTINEL not in message
