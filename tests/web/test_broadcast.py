"""What operators say to many: everybody it is for gets it once, also who resumes later."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import pytest

from tests.client import PREFIX
from tests.conftest import Client, StartBridge
from tests.nats_server import NatsServer, served
from tests.processes import process
from tests.waiting import soon
from tests.web.test_cluster import Two, both, two

__all__ = ["two"]

NOTE = {"event_type": "custom.note", "data": {"text": "hello"}}


@pytest.fixture(scope="module")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What is said to everyone is said to the tests of this file only."""
    with served(tmp_path_factory.mktemp("nats")) as url:
        yield url


async def test_everyone_gets_a_broadcast_once_whatever_they_are_subscribed_to(two: Two, new_id: str) -> None:
    a, b = two
    async with (
        a.connect("global") as one,
        b.connect("custom") as unsubscribed,
        b.connect(f"executions/{new_id}", types="task.completed", min_priority="critical") as narrow,
    ):
        status, answer = await a.send("POST", f"{PREFIX}/broadcast", NOTE | {"priority": "low"})
        for listener in (one, unsubscribed, narrow):
            event = await listener.message()
            assert (event["event_type"], event["data"]) == ("custom.note", {"text": "hello"})
            assert (event["seq"], event["event_id"]) == (answer["sequence"], answer["event_id"])
            assert (event["priority"], event["audience"]) == ("low", "everyone")
        assert await unsubscribed.nothing_more()
        assert await narrow.nothing_more()

    assert (status, answer["cluster"]) == (200, both("a"))
    assert (answer["connections_reached"], answer["connections_behind"]) == (3, 0)


async def test_a_broadcast_to_a_subscription_reaches_who_has_it_or_more_and_nobody_else(
    two: Two, new_id: str
) -> None:
    a, b = two
    async with (
        a.connect(f"executions/{new_id}") as has_it,
        b.connect("global") as has_more,
        b.connect("custom") as among_others,
        a.connect(f"executions/{new_id}", types="task.*") as filtered,
        a.connect(f"executions/{new_id}-other") as other,
        b.connect(f"crews/{new_id}") as crew,
    ):
        subscriptions = ["task_updates", f"execution_{new_id}"]
        await among_others.ask({"action": "subscribe", "subscriptions": subscriptions})
        _, answer = await b.send("POST", f"{PREFIX}/broadcast/execution_{new_id}", NOTE)
        for listener in (has_it, has_more, among_others):
            assert (await listener.message())["seq"] == answer["sequence"]
        for listener in (has_it, among_others, filtered, other, crew):
            assert await listener.nothing_more()

    assert (answer["connections_reached"], answer["audience"]) == (3, f"execution_{new_id}")


@pytest.mark.parametrize("ring", [64 * 1024**2, 1], ids=["in memory", "in the stream"])
async def test_who_was_away_gets_a_broadcast_when_it_resumes(
    start_bridge: StartBridge, new_id: str, ring: int
) -> None:
    async with start_bridge(ring_bytes=ring) as bridge:
        async with bridge.connect("crews/" + new_id, types="task.failed") as first:
            begin, epoch = first.first["cursor"], first.first["epoch"]
        sent: list[int] = []
        for path in ("/broadcast", f"/broadcast/crew_{new_id}", "/broadcast/task_updates"):
            note = {"event_type": "task.failed", "data": {"error": "no"}}
            status, answer = await bridge.send("POST", PREFIX + path, note)
            assert status == 200
            sent.append(answer["sequence"])
        await bridge.send("POST", f"{PREFIX}/broadcast/crew_{new_id}", NOTE)

        async with bridge.connect("crews/" + new_id, types="task.failed", since=begin, epoch=epoch) as second:
            assert [event["seq"] for event in await second.events(2)] == sent[:2]
            assert await second.nothing_more()


async def test_the_same_broadcast_sent_twice_is_one_event(bridge: Client, new_id: str) -> None:
    async with bridge.connect("global") as listener:
        note = NOTE | {"event_id": new_id}
        _, first = await bridge.send("POST", f"{PREFIX}/broadcast", note)
        _, second = await bridge.send("POST", f"{PREFIX}/broadcast", note)
        assert (await listener.message())["event_id"] == new_id

    assert (first["sequence"], first["event_id"]) == (second["sequence"], new_id)


async def test_what_means_nothing_later_is_kept_for_minutes_only(bridge: Client) -> None:
    progress = {"event_type": "task.progress", "data": {"progress": 0.5}}
    _, first = await bridge.send("POST", f"{PREFIX}/broadcast", progress)
    _, second = await bridge.send("POST", f"{PREFIX}/broadcast", NOTE)
    client = await nats.connect(bridge.nats_url)
    stored = [
        await client.jetstream().get_msg("CREW_EVENTS", answer["sequence"]) for answer in (first, second)
    ]
    await client.close()

    assert [(message.headers or {}).get("Nats-TTL") for message in stored] == ["300", None]


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/broadcast", {}, 422, "event_type"),
        ("/broadcast", {"event_type": "task.danced"}, 422, "event_type"),
        ("/broadcast", {"event_type": "task.failed", "data": {}}, 422, "data.error"),
        ("/broadcast", NOTE | {"priority": "urgent"}, 422, "priority"),
        ("/broadcast", NOTE | {"client_id": "x"}, 422, "client_id"),
        ("/broadcast", NOTE | {"event_id": "a b"}, 422, "event_id"),
        ("/broadcast/nothing", NOTE, 422, "subscription"),
        ("/broadcast/everyone", NOTE, 422, "subscription"),
        ("/broadcast", b"", 422, "event_type"),
        ("/broadcast", b"no json", 400, None),
        ("/broadcast", NOTE | {"data": {"text": "x" * (1024**2 - 100)}}, 422, "data"),
        ("/broadcast", b" " * (1024**2 + 1), 413, None),
    ],
)
async def test_what_is_wrong_with_a_broadcast_is_named(
    bridge: Client, path: str, body: Any, status: int, field: str | None
) -> None:
    answered, answer = await bridge.send("POST", PREFIX + path, body)

    assert (answered, answer.get("field")) == (status, field)


async def test_what_an_operator_changes_becomes_an_event_and_a_number(bridge: Client, new_id: str) -> None:
    async with bridge.connect("custom") as watching, bridge.connect("global", client_id=new_id) as victim:
        await watching.ask({"action": "subscribe", "subscriptions": ["system.admin_action"]})
        assert (await bridge.send("POST", f"{PREFIX}/disconnect/nobody"))[0] == 404
        assert (await bridge.send("POST", f"{PREFIX}/disconnect/{new_id}", {"reason": "out"}))[0] == 200
        await victim.socket.wait_closed()
        assert (await bridge.send("DELETE", f"{PREFIX}/connections"))[0] == 200
        _, sent = await bridge.send("POST", f"{PREFIX}/broadcast/system_updates", NOTE)
        events = [await watching.message() for _ in range(3)]
        _, text = await bridge.get("/metrics")

    acts = [event["data"] for event in events]
    assert [(act["action"], act.get("target"), act["outcome"]) for act in acts] == [
        ("disconnect", new_id, "done"),
        ("clean_up", None, "done"),
        ("broadcast_to_subscription", "system_updates", "done"),
    ]
    assert acts[0]["parameters"] == {"code": 4003, "reason": "out"}
    assert acts[1]["parameters"] == {"removed": 0}
    assert acts[2]["parameters"] == {
        "event_type": "custom.note",
        "event_id": sent["event_id"],
        "sequence": sent["sequence"],
    }
    assert "127.0.0.1" not in str(events)
    assert 'crew_bridge_admin_calls_total{operation="disconnect"} 2.0' in text
    assert 'crew_bridge_admin_failures_total{code="unknown_client"} 1.0' in text


async def test_the_audit_log_says_who_did_what_at_every_log_level(
    tmp_path: Path, nats_url: str, new_id: str
) -> None:
    with process(
        tmp_path, "serve", port=0, nats_url=nats_url, log_level="error", log_format="json"
    ) as serving:
        bridge = await Client.of(serving.bridge())
        async with bridge.connect("global", client_id=new_id):
            await bridge.send("POST", f"{PREFIX}/disconnect/{new_id}", {"reason": "out"})
        await bridge.send("POST", f"{PREFIX}/broadcast", NOTE | {"priority": "urgent"})
        await bridge.get(f"{PREFIX}/connections")
        lines = [json.loads(line) for line in serving.errors.splitlines()]

    (first, second) = [line for line in lines if line.get("logger") == "audit"]
    assert (first["event"], first["target"], first["outcome"]) == ("disconnect", new_id, "done")
    assert (first["remote"], first["code"], first["reason"]) == ("127.0.0.1", 4003, "out")
    assert (second["event"], second["outcome"]) == ("broadcast", "invalid_request")


async def test_without_nats_a_broadcast_is_refused(start_bridge: StartBridge, tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    server.start()
    async with start_bridge(nats_url=server.url) as bridge:

        async def refused(words: str) -> bool:
            status, answer = await bridge.send("POST", f"{PREFIX}/broadcast", NOTE)
            return status == 503 and answer["code"] == "stream_unavailable" and words in answer["message"]

        server.suspend()
        await soon(lambda: refused("did not say so"))
        server.resume()
        server.kill()
        await soon(lambda: refused("there is no NATS"))
    server.stop()
