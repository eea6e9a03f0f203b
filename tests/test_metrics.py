"""The numbers that operators see: right after known traffic, scraped by a real Prometheus."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.crew import EventPublisher
from bridge.metrics import labels
from contracts import create_agent_event, create_event, create_execution_event, create_task_event
from tests.client import Client
from tests.conftest import StartBridge
from tests.nats_server import NatsServer
from tests.prometheus import prometheus, promtool
from tests.waiting import eventually, soon

ALL = {
    "info",
    *("events_in", "events_rejected", "events_delivered", "delivered_bytes", "writes", "messages_sent"),
    *("commands", "errors"),
    *("flush_events", "event_age_seconds"),
    *("loop_delay_seconds", "flush_turn_seconds", "gc_pause_seconds"),
    *("connections", "cursors", "groups"),
    *("connections_opened", "connections_closed", "connections_refused", "fell_behind", "stale"),
    "stalled",
    *("recoveries", "gaps"),
    *("log_head", "log_floor", "log_events", "log_bytes", "log_limit_bytes", "log_age_seconds"),
    *("feed_caught_up", "feed_lag", "feed_lag_seconds", "feed_resets"),
    *("nats_connected", "nats_disconnects", "nats_reconnects", "nats_errors"),
    *("published", "publish_failures", "peers", "peer_errors", "admin_calls", "admin_failures"),
    *("history_disconnects", "history_requests", "history_failures", "history_bytes"),
    *("history_in_flight", "history_queued"),
    *("crew_events", "crew_tokens", "crew_duration_seconds", "crew_events_lost"),
    *("workers", "workers_lost", "worker_published", "worker_waiting"),
}
Values = dict[str, float]
README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.fixture
async def quiet_bridge(start_bridge: StartBridge, tmp_path: Path) -> AsyncIterator[Client]:
    """A bridge on a server that nobody else uses."""
    directory = tmp_path / "nats"
    directory.mkdir()
    server = NatsServer(directory)
    server.start()
    async with start_bridge(nats_url=server.url) as client:
        yield client
    server.stop()


async def scraped(bridge: Client) -> Values:
    """Our samples, by name and label value."""
    status, text = await bridge.get("/metrics")
    assert status == 200
    return {
        ".".join([sample.name.removeprefix("crew_bridge_"), *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("crew_bridge_") and not sample.name.endswith("_created")
    }


async def test_every_metric_is_there_from_the_start(quiet_bridge: Client) -> None:
    _, text = await quiet_bridge.get("/metrics")
    families = {family.name for family in text_string_to_metric_families(text)}

    assert {f"crew_bridge_{name}" for name in ALL} - families == set()
    await asyncio.to_thread(promtool, "check", "metrics", text=text)
    assert {"process_resident_memory_bytes", "python_info"} <= families


async def test_the_numbers_are_those_of_the_traffic(quiet_bridge: Client, new_id: str) -> None:
    async with (
        quiet_bridge.connect("global") as everything,
        quiet_bridge.connect(f"executions/{new_id}") as one,
        EventPublisher(quiet_bridge.nats_url) as publisher,
    ):
        for number in range(3):
            await publisher.publish(create_task_event(f"t{number}", "completed", execution_id=new_id))
        await publisher.publish(create_agent_event("a1", "created"))
        raw = await nats.connect(quiet_bridge.nats_url)
        await raw.jetstream().publish("task.completed", b'{"priority":"urgent"}')
        await raw.close()
        await everything.events(4)
        await one.events(3)
        assert (await one.ask({"action": "ping"}))["type"] == "pong"
        assert (await one.ask({"action": "dance"}))["type"] == "error"
        async with quiet_bridge.connect("global", since=0) as late:
            await late.events(4)
            values = await scraped(quiet_bridge)

    assert values["events_in_total.task"] == 3
    assert values["events_in_total.agent"] == 1
    assert values["events_rejected_total.priority"] == 1
    assert values["events_delivered_total.task"] == 3 + 3 + 3
    assert values["events_delivered_total.agent"] == 2
    assert values["messages_sent_total"] == 11 + 3 + 2
    assert values["delivered_bytes_total"] > 11 * 100
    assert 0 < values["writes_total"] <= 11
    assert values["commands_total.ping"] == 1
    assert sum(value for name, value in values.items() if name.startswith("errors_total.")) == 1
    assert values["connections.global"] == 2
    assert values["connections.executions"] == 1
    assert (values["cursors.live"], values["cursors.catching_up"], values["cursors.waiting"]) == (3, 0, 0)
    assert values["groups"] == 2
    assert values["connections_opened_total.global"] == 2
    assert values["recoveries_total.replayed"] == 1
    assert (values["log_head"], values["log_floor"], values["log_events"]) == (5, 0, 4)
    assert values["log_bytes"] > 400
    assert 0 < values["log_age_seconds"] < 60
    assert (values["feed_caught_up"], values["feed_lag"], values["feed_lag_seconds"]) == (1, 0, 0)
    assert values["nats_connected"] == 1
    assert values["fell_behind_total"] == values["stale_total"] == values["nats_disconnects_total"] == 0


async def test_a_real_prometheus_scrapes_the_bridge_and_answers(bridge: Client, tmp_path: Path) -> None:
    """It uses the configuration that is delivered, with the address of this bridge."""
    with prometheus(tmp_path, bridge.url) as watcher:
        expression = 'crew_bridge_feed_caught_up{job="crew-bridge"}'
        (result,) = await asyncio.to_thread(eventually, lambda: watcher.ask(expression))

    assert result["value"][1] == "1"


async def test_flushes_ages_and_delays_are_distributions(quiet_bridge: Client, new_id: str) -> None:
    async with (
        quiet_bridge.connect("global") as one,
        quiet_bridge.connect("global") as other,
        EventPublisher(quiet_bridge.nats_url) as publisher,
    ):
        for number in range(4):
            await publisher.publish(create_task_event(f"t{number}", "completed", execution_id=new_id))
        await one.events(4)
        await other.events(4)

        async def timed() -> Values | None:
            values = await scraped(quiet_bridge)
            return values if values["loop_delay_seconds_count"] else None

        values = await soon(timed)

    assert 1 <= values["flush_events_count"] <= 4
    assert values["flush_events_sum"] == 4
    assert values["flush_events_bucket.5"] == values["flush_events_bucket.+Inf"]
    assert values["event_age_seconds_count"] == values["flush_events_count"]
    assert 0 < values["event_age_seconds_sum"] < 60
    assert values["event_age_seconds_bucket.60"] == values["event_age_seconds_count"]
    assert values["flush_turn_seconds_count"] >= values["flush_events_count"]
    assert values["flush_turn_seconds_sum"] < 60


async def test_what_crews_did_since_the_bridge_is_there_is_counted_by_type(
    quiet_bridge: Client, start_bridge: StartBridge, new_id: str
) -> None:
    tokens = {"input_tokens": 70, "output_tokens": 20, "total_tokens": 95, "duration_ms": 1500}
    async with quiet_bridge.connect("global") as listener, EventPublisher(quiet_bridge.nats_url) as publisher:
        for event in (
            create_execution_event(new_id, "started"),
            create_event("llm.call_completed", tokens, execution_id=new_id),
            create_event("llm.call_completed", total_tokens=5, execution_id=new_id),
            create_event("custom.of_nobody", execution_id=new_id),
            create_execution_event(new_id, "failed", error="no", duration_ms=2000.5),
        ):
            await publisher.publish(event)
        await listener.events(5)
    values = await scraped(quiet_bridge)
    async with start_bridge(nats_url=quiet_bridge.nats_url) as later:
        of_later = await scraped(later)

    assert values["crew_events_total.execution.started"] == 1
    assert values["crew_events_total.llm.call_completed"] == 2
    assert values["crew_events_total.other"] == 1
    assert [values[f"crew_tokens_total.{kind}"] for kind in ("input", "output", "unknown")] == [70, 20, 10]
    assert values["crew_duration_seconds_sum.execution"] == 2
    assert values["crew_duration_seconds_bucket.1.llm_call"] == 0
    assert values["crew_duration_seconds_bucket.2.5.llm_call"] == 1
    assert of_later["events_in_total.llm"] == 2
    assert sum(value for name, value in of_later.items() if name.startswith("crew_events_total.")) == 0


async def test_a_feed_without_a_server_falls_behind(start_bridge: StartBridge, tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    server.start()
    async with start_bridge(nats_url=server.url, feed_heartbeat_seconds=0.2) as bridge:
        server.kill()

        async def behind() -> bool:
            values = await scraped(bridge)
            return not values["nats_connected"] and values["feed_lag_seconds"] > 0.1

        await soon(behind)
        server.start()

        async def current() -> bool:
            values = await scraped(bridge)
            return bool(values["nats_connected"]) and values["feed_lag_seconds"] == 0

        await soon(current, 20)
    server.stop()


async def test_a_code_that_a_client_made_up_is_no_label_of_its_own(quiet_bridge: Client) -> None:
    for code in (3333, 4444, 1000):
        async with quiet_bridge.connect("global") as listener:
            await listener.socket.close(code)

    async def closed() -> bool:
        values = await scraped(quiet_bridge)
        return values.get("connections_closed_total.other") == 2 and "connections_closed_total.1000" in values

    await soon(closed)


def test_what_the_readme_says_that_clients_are_told_is_counted_from_the_start() -> None:
    """A code that is new here has to be in the list of its label, or its first rise is no rise."""
    errors, refusals = re.search(
        r"\*\*Errors\*\* have(.*?)Who is\s+refused before(.*?)\n\n", README, flags=re.DOTALL
    ).groups()  # type: ignore[union-attr]  # else the test has to be written anew
    unnamed = {"type", "error", "code", "message", "field", "Retry-After"}

    assert set(re.findall(r"`([\w-]+)`", errors)) - unnamed == set(labels.ERROR.values)
    assert set(re.findall(r"`([\w-]+)`", refusals)) - unnamed == set(labels.REFUSAL.values)


async def test_every_client_that_is_not_let_in_is_counted(quiet_bridge: Client) -> None:
    assert (await quiet_bridge.get("/api/v1/websocket/ws/global"))[0] == 400
    assert (await quiet_bridge.get("/api/v1/websocket/ws/global?since=-1"))[0] == 400
    values = await scraped(quiet_bridge)

    assert values["connections_refused_total.not_a_websocket"] == 1
    assert values["connections_refused_total.invalid_request"] == 1
