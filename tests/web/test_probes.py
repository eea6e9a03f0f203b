"""What machines ask: is it alive, is it ready, what are its numbers."""

import asyncio
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bridge.config import Settings
from bridge.crew import EventPublisher
from bridge.service import running
from contracts import create_task_event
from tests.client import PREFIX
from tests.conftest import Client
from tests.nats_server import NatsServer
from tests.processes import bridge_process
from tests.tools import needed
from tests.waiting import soon
from tests.web.raw import raw_client


async def test_a_bridge_is_alive_at_once_and_ready_when_it_has_caught_up(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    server.start()
    server.stop()
    async with running(Settings(nats_url=server.url, port=0)) as bridge:
        client = Client(bridge)
        assert await client.get("/healthz") == (200, {"status": "ok"})
        status, body = await client.get("/readyz")
        assert status == 503
        assert (body["ready"], body["draining"], body["head"]) == (False, False, 0)
        _, health = await client.get(f"{PREFIX}/health")
        assert health["status"] == "degraded"

        await asyncio.to_thread(server.start)
        await soon(lambda: _is_ready(client))
        status, body = await client.get("/readyz")
        assert (body["ready"], body["draining"], body["reason"]) == (True, False, None)
        assert body["epoch"]
    await asyncio.to_thread(server.stop)


async def _is_ready(client: Client) -> bool:
    return (await client.get("/readyz"))[0] == 200


async def test_a_bridge_that_drains_is_not_ready_and_takes_nobody_in(nats_url: str) -> None:
    async with (
        bridge_process(nats_url=nats_url) as bridge,
        raw_client(bridge.client, "global") as client,
    ):
        bridge.process.terminate()
        assert (await client.closing())[0] == 4000
        status, body = await bridge.client.get("/readyz")
        assert (status, body["draining"]) == (503, True)
        assert body["reason"] == "the bridge is shutting down"
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{bridge.client.url.replace('http', 'ws', 1)}{PREFIX}/ws/global")
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "1"


async def _metrics(bridge: Client, publisher: EventPublisher, new_id: str) -> str:
    """After everything that is counted happened once."""
    _, state = await bridge.get("/readyz")
    async with bridge.connect(f"executions/{new_id}", since=state["head"]) as listener:
        await publisher.publish(create_task_event("t1", "completed", execution_id=new_id))
        await listener.events(1)
        await listener.ask({"action": "ping"})
        await listener.ask("no json")
        _, text = await bridge.get("/metrics")
    return str(text)


async def test_the_metrics_are_read_by_prometheus(
    bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    text = await _metrics(bridge, publisher, new_id)
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["crew_bridge_connections", "executions"] == 1
    assert samples["crew_bridge_events_delivered_total", "task"] == 1
    assert samples["crew_bridge_commands_total", "ping"] == 1
    assert samples["crew_bridge_errors_total", "invalid_json"] == 1
    assert samples["crew_bridge_feed_caught_up",] == 1
    assert new_id not in text


async def test_promtool_finds_nothing_wrong_with_the_metrics(
    bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    command = (needed("promtool"), "check", "metrics")
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    text = await _metrics(bridge, publisher, new_id)
    ours = [line for line in text.splitlines(keepends=True) if "crew_bridge_" in line]
    out, complaints = await process.communicate("".join(ours).encode())
    assert (process.returncode, out + complaints) == (0, b"")
