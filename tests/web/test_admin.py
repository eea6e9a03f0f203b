"""What operators are told."""

from urllib.parse import quote

import pytest

from bridge.crew import EventPublisher
from contracts import create_task_event
from tests.client import PREFIX
from tests.conftest import Client


async def test_health_says_how_the_bridge_is(bridge: Client, publisher: EventPublisher, new_id: str) -> None:
    async with bridge.connect(f"executions/{new_id}") as listener:
        await publisher.publish(create_task_event("t1", "completed", execution_id=new_id))
        await listener.events(1)
        status, body = await bridge.get(f"{PREFIX}/health")
    assert status == 200
    assert body.keys() >= {
        *("status", "active_connections", "total_messages_sent", "uptime_seconds", "last_cleanup"),
    }
    assert (body["status"], body["active_connections"], body["total_messages_sent"]) == ("healthy", 1, 2)
    assert body["uptime_seconds"] > 0
    assert body["last_cleanup"] is None


async def test_connections_says_who_is_connected_to_what(
    bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    async with bridge.connect(f"executions/{new_id}", client_id=new_id) as one, bridge.connect("global"):
        await publisher.publish(create_task_event("t1", "completed", execution_id=new_id))
        await one.events(1)
        status, body = await bridge.get(f"{PREFIX}/connections")

    assert (status, body["status"]) == (200, "success")
    assert body.keys() >= {"status", "data"}
    data = body["data"]
    assert data.keys() >= {
        *("active_connections", "subscription_counts", "average_connection_duration"),
        *("uptime_statistics", "connections"),
    }
    assert data["active_connections"] == 2
    assert data["subscription_counts"] == {f"execution_{new_id}": 1, "global": 1}
    assert data["average_connection_duration"] > 0
    assert data["uptime_statistics"]["connections_opened"] == 2
    (mine,) = [c for c in data["connections"] if c["client_id"] == new_id]
    head = one.first["head"] + 1
    assert (mine["client_id"], mine["endpoint"]) == (new_id, "executions")
    assert (mine["cursor"], mine["lag"], mine["events_sent"]) == (head, 0, 1)


async def test_without_connections_there_is_no_average(bridge: Client) -> None:
    _, body = await bridge.get(f"{PREFIX}/connections")
    assert body["data"]["average_connection_duration"] == 0.0
    assert body["data"]["connections"] == []


@pytest.mark.parametrize("name", ["a/b", "{a}", "a%2Fb", "é?#&@:+", "tap"])
async def test_a_client_is_found_by_whatever_id_it_has_chosen(bridge: Client, new_id: str, name: str) -> None:
    client_id = f"{new_id}{name}"
    path = quote(client_id, safe="")
    async with bridge.connect("custom", client_id=client_id) as listener:
        status, body = await bridge.get(f"{PREFIX}/connections/{path}")
        assert (status, body["data"]["client_id"]) == (200, client_id)
        status, body = await bridge.send("POST", f"{PREFIX}/disconnect/{path}")
        assert (status, body["client_id"]) == (200, client_id)
        await listener.socket.wait_closed()


async def test_an_execution_is_watched_by_whatever_id_it_has(
    bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    execution = f"{{{new_id}}}/1"
    async with bridge.connect(f"executions/{quote(execution, safe='')}") as listener:
        await publisher.publish(create_task_event("t1", "completed", execution_id=execution))
        assert (await listener.message())["execution_id"] == execution
