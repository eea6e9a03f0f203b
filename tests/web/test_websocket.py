"""What a WebSocket client is told, what it may ask, and which events it gets."""

import json
from typing import Any

import pytest

from bridge.crew import EventPublisher
from contracts import WebSocketEvent, create_event, create_task_event
from tests.client import PREFIX, Json, Listener
from tests.conftest import Client
from tests.web.raw import raw_client


def _task(number: int, **fields: Any) -> WebSocketEvent:
    return create_task_event(f"t{number}", "completed", **fields)


def _tasks(events: list[Json]) -> list[str]:
    return [event["task_id"] for event in events]


@pytest.mark.parametrize(
    ("endpoint", "subscriptions"),
    [
        ("executions/{id}", ["execution_{id}"]),
        ("crews/{id}", ["crew_{id}"]),
        ("global", ["global"]),
        ("metrics", ["metrics"]),
        ("custom", []),
    ],
)
async def test_the_first_message_says_who_the_client_is_and_where(
    bridge: Client, new_id: str, endpoint: str, subscriptions: list[str]
) -> None:
    async with bridge.connect(endpoint.format(id=new_id)) as listener:
        assert listener.established["event_type"] == "connection.established"
        first = listener.first
        assert first.keys() == {
            *("client_id", "endpoint", "epoch", "head", "cursor", "position"),
            *("subscriptions", "heartbeat_seconds", "resumable"),
        }
        assert first["endpoint"] == endpoint.partition("/")[0]
        assert first["subscriptions"] == [name.format(id=new_id) for name in subscriptions]
        assert first["cursor"] == first["head"]
        assert (first["heartbeat_seconds"], first["resumable"]) == (25.0, True)


async def test_each_endpoint_shows_its_own_events_only(
    bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    async with (
        bridge.connect(f"executions/{new_id}") as execution,
        bridge.connect(f"crews/{new_id}") as crew,
        bridge.connect("global") as everything,
        bridge.connect("metrics") as metrics,
        bridge.connect("custom") as custom,
    ):
        await publisher.publish(_task(1, execution_id=new_id))
        await publisher.publish(_task(2, crew_id=new_id))
        await publisher.publish(_task(3, execution_id="other", crew_id="other"))
        await publisher.publish(create_event("system.health_check", status="ok", component=new_id))
        await publisher.publish(create_event("system.error", error="x"))

        assert _tasks(await execution.events(1)) == ["t1"]
        assert _tasks(await crew.events(1)) == ["t2"]
        types = [event["event_type"] for event in await everything.events(5)]
        assert types == ["task.completed"] * 3 + ["system.health_check", "system.error"]
        assert (await metrics.message())["data"]["component"] == new_id
        for listener in (execution, crew, everything, metrics, custom):
            assert await listener.nothing_more()


async def test_what_a_cursor_missed_is_announced_in_the_first_message(
    bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    async with bridge.connect(f"executions/{new_id}") as before:
        begin = before.first["cursor"]
        await publisher.publish(_task(1, execution_id=new_id))
        await before.events(1)

    async with bridge.connect(f"executions/{new_id}", since=before.first["position"]) as after:
        head = after.first["head"]
        assert after.first["cursor"] == begin
        assert after.first["recovery"] == {
            "recovered": True,
            "reason": "replayed",
            "from": begin + 1,
            "to": head,
            "count": 1,
        }
        (event,) = await after.events(1)
        assert event["task_id"] == "t1"

    async with bridge.connect(f"executions/{new_id}", since=event["position"]) as current:
        assert current.first["recovery"]["reason"] == "nothing_missed"
    async with bridge.connect(f"executions/{new_id}", since=head + 9_999) as ahead:
        assert ahead.first["recovery"]["reason"] == "unknown_cursor"
        assert not ahead.first["recovery"]["recovered"]
    async with bridge.connect(f"executions/{new_id}", since=head, epoch="another") as elsewhere:
        assert elsewhere.first["recovery"]["reason"] == "stream_reset"
        assert elsewhere.first["recovery"]["from"] == 1


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ({"action": "subscribe", "subscriptions": ["task_updates"]}, {"type": "subscribed"}),
        ({"action": "unsubscribe", "subscriptions": ["global"]}, {"type": "unsubscribed"}),
        ({"action": "filter", "filter": {"types": ["task.*"]}}, {"type": "filtered"}),
        ({"action": "filter"}, {"type": "filtered", "filter": {}}),
        ({"action": "ping"}, {"type": "pong"}),
        ({"action": "list"}, {"type": "listed", "subscriptions": ["global"], "filter": {}}),
    ],
)
@pytest.mark.parametrize("mark", ["mine", 7, None])
async def test_a_command_is_answered_once_with_its_id(
    bridge: Client, command: Json, answer: Json, mark: str | int | None
) -> None:
    async with bridge.connect("global") as listener:
        got = await listener.ask(command if mark is None else command | {"id": mark})
        assert got | answer == got
        assert got.get("id") == mark
        assert await listener.nothing_more()


async def test_subscribing_adds_and_unsubscribing_removes(
    bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    async with bridge.connect("custom") as listener:
        names = [f"execution_{new_id}", f"task.*.*.{new_id}2"]
        got = await listener.ask({"action": "subscribe", "subscriptions": names})
        assert got["subscriptions"] == names
        assert "recovery" not in got
        await publisher.publish(_task(1, execution_id=new_id))
        await publisher.publish(_task(2, execution_id=f"{new_id}2"))
        assert _tasks(await listener.events(2)) == ["t1", "t2"]

        got = await listener.ask({"action": "unsubscribe", "subscriptions": names[:1]})
        assert got["subscriptions"] == names[1:]
        await publisher.publish(_task(3, execution_id=new_id))
        await publisher.publish(_task(4, execution_id=f"{new_id}2"))
        assert _tasks(await listener.events(1)) == ["t4"]


async def test_a_subscription_with_since_replays_only_what_it_adds(
    bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    async with bridge.connect(f"executions/{new_id}") as listener:
        begin, epoch = listener.first["cursor"], listener.first["epoch"]
        await publisher.publish(_task(1, execution_id=new_id, crew_id=new_id))
        await publisher.publish(_task(2, crew_id=new_id))
        assert _tasks(await listener.events(1)) == ["t1"]
        async with bridge.connect(f"crews/{new_id}", since=begin, epoch=epoch) as witness:
            await witness.events(2)

        name = f"crew_{new_id}"
        got = await listener.ask(
            {"action": "subscribe", "subscriptions": [name], "since": begin, "epoch": epoch}
        )
        assert got["recovery"]["count"] == 1
        assert _tasks(await listener.events(1)) == ["t2"]
        assert await listener.nothing_more()


async def test_a_later_subscription_brings_nothing_old_of_an_earlier_one(
    bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    one, other = f"{new_id}a", f"{new_id}b"
    async with bridge.connect(f"crews/{new_id}") as witness:
        for number, execution in enumerate((one, other, one, other)):
            await publisher.publish(_task(number, execution_id=execution, crew_id=new_id))
        await witness.events(4)
    async with bridge.connect(f"executions/{one}") as listener:
        subscribe = {"action": "subscribe", "subscriptions": [f"execution_{other}"]}
        for place, tasks in (({"last": 1}, ["t3"]), ({"since": 0}, ["t1"])):
            said = await listener.ask(subscribe | place)
            assert said["recovery"]["count"] == 1
            assert _tasks(await listener.events(1)) == tasks
        await publisher.publish(_task(4, execution_id=one))
        assert _tasks(await listener.events(1)) == ["t4"]
        assert await listener.nothing_more()


_FILTERS: list[tuple[Json, list[str]]] = [
    ({"types": ["task.failed"]}, ["t2"]),
    ({"types": ["agent.*"]}, ["t3"]),
    ({"min_priority": "high"}, ["t2", "t4"]),
    ({"agents": ["a3"]}, ["t3"]),
    ({"tasks": ["t1", "t4"]}, ["t1", "t4"]),
    ({"tasks": ["t1", "t4"], "min_priority": "critical"}, ["t4"]),
]


async def _publish_four(publisher: EventPublisher, execution_id: str) -> None:
    await publisher.publish(_task(1, execution_id=execution_id))
    await publisher.publish(create_task_event("t2", "failed", error="x", execution_id=execution_id))
    agent = create_event("agent.started", task_id="t3", agent_id="a3", execution_id=execution_id)
    await publisher.publish(agent)
    await publisher.publish(_task(4, priority="critical", execution_id=execution_id))


@pytest.mark.parametrize(("conditions", "tasks"), _FILTERS)
async def test_a_filter_lets_only_its_events_pass(
    bridge: Client, publisher: EventPublisher, new_id: str, conditions: Json, tasks: list[str]
) -> None:
    async with bridge.connect(f"executions/{new_id}") as listener:
        got = await listener.ask({"action": "filter", "filter": conditions})
        assert {name: value for name, value in got["filter"].items() if name != "tasks"} == {
            name: value for name, value in conditions.items() if name != "tasks"
        }
        await _publish_four(publisher, new_id)
        assert _tasks(await listener.events(len(tasks))) == tasks
        assert await listener.nothing_more()


@pytest.mark.parametrize(
    ("query", "tasks"),
    [
        ({"types": "task.failed,agent.*"}, ["t2", "t3"]),
        ({"min_priority": "high"}, ["t2", "t4"]),
        ({"types": "task.*", "min_priority": "critical"}, ["t4"]),
    ],
)
async def test_the_query_filters_from_the_first_event_on(
    bridge: Client, publisher: EventPublisher, new_id: str, query: Json, tasks: list[str]
) -> None:
    async with bridge.connect(f"executions/{new_id}", **query) as listener:
        await _publish_four(publisher, new_id)
        assert _tasks(await listener.events(len(tasks))) == tasks
        assert await listener.nothing_more()


async def test_batches_are_arrays_of_events_in_order(
    bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    async with bridge.connect("custom") as before:
        begin = before.first["cursor"]
    for number in range(20):
        await publisher.publish(_task(number, execution_id=new_id))
    async with bridge.connect(f"executions/{new_id}", batch=1, since=begin) as listener:
        got = json.loads(await listener.socket.recv())
        assert _tasks(got) == [f"t{number}" for number in range(20)]
        await publisher.publish(_task(20, execution_id=new_id))
        assert _tasks(json.loads(await listener.socket.recv())) == ["t20"]
        assert await listener.nothing_more()


async def _closed(listener: Listener) -> tuple[int | None, str | None]:
    await listener.socket.wait_closed()
    return listener.socket.close_code, listener.socket.close_reason


async def test_a_client_that_connects_again_takes_the_place_of_its_older_connection(
    bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    async with bridge.connect(f"executions/{new_id}", client_id=new_id) as older:
        assert older.first["client_id"] == new_id
        async with bridge.connect(f"executions/{new_id}", client_id=new_id) as newer:
            assert await _closed(older) == (4501, "the client connected again")
            await publisher.publish(_task(1, execution_id=new_id))
            assert _tasks(await newer.events(1)) == ["t1"]
            _, body = await bridge.get(f"{PREFIX}/connections")
            assert [c["client_id"] for c in body["data"]["connections"]] == [new_id]


async def test_an_addressed_event_reaches_its_client_alone_also_in_a_replay(
    bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    async with (
        bridge.connect("metrics", client_id=new_id) as addressee,
        bridge.connect(f"executions/{new_id}") as other,
    ):
        begin = addressee.first["position"]
        await publisher.publish(_task(1, execution_id=new_id, client_id=new_id))
        assert _tasks(await addressee.events(1)) == ["t1"]
        assert await addressee.nothing_more()
        assert await other.nothing_more()

    async with (
        bridge.connect(f"executions/{new_id}", since=begin, client_id=new_id) as again,
        bridge.connect(f"executions/{new_id}", since=begin) as stranger,
    ):
        assert _tasks(await again.events(1)) == ["t1"]
        assert stranger.first["recovery"]["reason"] == "nothing_missed"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("executions/a.b", "execution_id"),
        ("executions/*", "execution_id"),
        ("executions/_", "execution_id"),
        ("crews/%3E", "crew_id"),
        ("crews/a%20b", "crew_id"),
        (f"crews/{'x' * 129}", "crew_id"),
        ("global?since=x", "since"),
        ("global?since=-1", "since"),
        ("global?types=nothing.such", "types"),
        ("global?min_priority=urgent", "min_priority"),
        ("global?batch=perhaps", "batch"),
        ("global?client_id=a.b", "client_id"),
        ("global?epoch=", "epoch"),
        ("global?sinse=1", "sinse"),
        ("global?since=1&since=2", "since"),
    ],
)
async def test_a_bad_request_is_refused_with_the_name_of_what_is_bad(
    bridge: Client, path: str, field: str
) -> None:
    status, body = await bridge.get(f"{PREFIX}/ws/{path}")
    assert status == 400
    assert body.keys() == {"code", "message", "field"}
    assert (body["code"], body["field"]) == ("invalid_request", field)


async def test_a_request_that_asks_for_no_websocket_is_refused_and_harms_nothing(bridge: Client) -> None:
    status, body = await bridge.get(f"{PREFIX}/ws/global")
    assert (status, body["code"]) == (400, "not_a_websocket")
    async with raw_client(bridge, "global") as client:
        assert client.first["endpoint"] == "global"
    assert (await bridge.get("/healthz"))[0] == 200
