"""What every bridge tells of itself on the stream, and ``/ws/metrics``, which is the view of it."""

from pathlib import Path

import nats

from bridge.crew import EventPublisher
from contracts import create_task_event
from contracts.events import WebSocketEvent
from contracts.payloads.state import SystemHealthCheck
from tests.client import Json
from tests.conftest import StartBridge
from tests.nats_server import NatsServer
from tests.waiting import soon


async def test_ws_metrics_shows_how_every_bridge_is(start_bridge: StartBridge, new_id: str) -> None:
    first, second = f"{new_id}-1", f"{new_id}-2"
    async with (
        start_bridge(instance=first, health_seconds=0.1) as bridge,
        start_bridge(instance=second, health_seconds=0.1),
        bridge.connect("metrics") as watcher,
    ):
        checks: dict[str, Json] = {}
        while not (checks.keys() == {first, second} and knows_of_the_watcher(checks[first])):
            event = await watcher.message()
            assert (event["event_type"], event["source"]) == ("system.health_check", "bridge")
            assert "execution_id" not in event
            if event["data"]["instance"].startswith(new_id):
                checks[event["data"]["instance"]] = event

    check = WebSocketEvent.model_validate(checks[first] | {"seq": 1}).data
    assert isinstance(check, SystemHealthCheck)
    assert (check.status, check.component) == ("ok", "bridge")
    assert (check.active_connections, check.live_connections) == (1, 1)
    assert check.version
    assert check.uptime_seconds
    assert check.log_bytes
    assert checks[second]["data"]["active_connections"] == 0


def knows_of_the_watcher(event: Json) -> bool:
    """The first check may have been made before anybody was connected, or anything stored."""
    return bool(event["data"]["active_connections"] and event["data"]["log_events"])


async def test_the_numbers_are_those_since_the_check_before(
    start_bridge: StartBridge, tmp_path: Path, new_id: str
) -> None:
    server = NatsServer(tmp_path)
    server.start()
    async with (
        start_bridge(nats_url=server.url, health_seconds=0.3) as bridge,
        EventPublisher(server.url) as publisher,
        bridge.connect("metrics") as watcher,
        bridge.connect(f"executions/{new_id}") as listener,
    ):
        await watcher.message()
        for number in range(5):
            await publisher.publish(create_task_event(f"t{number}", "completed", execution_id=new_id))
        await listener.events(5)
        checks = [(await watcher.message())["data"] for _ in range(5)]
    server.stop()

    last = checks[-1]
    assert last["events_in"] >= 10
    assert last["events_delivered"] >= 5 + 5
    assert last["bytes_sent"] > 0
    assert last["messages_sent"] >= last["events_delivered"]
    assert last["events_in"] > checks[0]["events_in"]
    assert max(check["events_delivered_per_second"] for check in checks) > 0
    assert all(check["cpu_share"] > 0 for check in checks)
    assert any(check.get("event_age_p99_ms", 0) >= 1 for check in checks)
    assert any(check.get("loop_delay_p99_ms", 0) >= 1 for check in checks)


async def test_health_checks_expire_and_a_bridge_without_nats_goes_on(
    start_bridge: StartBridge, tmp_path: Path
) -> None:
    server = NatsServer(tmp_path)
    server.start()
    async with (
        start_bridge(nats_url=server.url, health_seconds=0.1, feed_heartbeat_seconds=0.2) as bridge,
        bridge.connect("metrics") as watcher,
    ):
        first = await watcher.message()
        client = await nats.connect(server.url)
        stored = await client.jetstream().get_msg("CREW_EVENTS", first["seq"])
        await client.close()
        assert (stored.headers or {})["Nats-TTL"] == "300"

        server.kill()

        async def failing() -> bool:
            text = (await bridge.get("/metrics"))[1]
            return "crew_bridge_publish_failures_total 0.0" not in text

        await soon(failing)
        assert (await bridge.get("/healthz"))[0] == 200
        server.start()
        while (await watcher.message())["seq"] <= first["seq"] + 1:
            pass
    server.stop()
