"""Two bridges on one NATS: what is asked of the one holds for the clients of the other."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import nats
import pytest

from contracts.cluster import Reach, Reached
from tests.client import PREFIX
from tests.conftest import Client, StartBridge
from tests.nats_server import NatsServer
from tests.processes import bridge_process
from tests.waiting import soon
from tests.web.raw import raw_client

Two = tuple[Client, Client]


@pytest.fixture
async def two(start_bridge: StartBridge) -> AsyncIterator[Two]:
    """Bridges ``a`` and ``b``, which know each other."""
    async with (
        start_bridge(instance="a", heartbeat_seconds=0.2) as a,
        start_bridge(instance="b", heartbeat_seconds=0.2) as b,
    ):
        await knows(a, "b")
        await knows(b, "a")
        yield a, b


async def knows(bridge: Client, peer: str, *, well: bool = True) -> None:
    """Until the bridge knows, or does not know any more, the other."""

    async def look() -> bool:
        _, health = await bridge.get(f"{PREFIX}/health")
        return (peer in health["peers"]) == well

    await soon(look)


def both(instance: str) -> dict[str, Any]:
    return {"instance": instance, "answered": ["a", "b"], "missing": [], "reachable": True}


async def test_the_list_of_any_bridge_shows_the_connections_of_all(two: Two, new_id: str) -> None:
    a, b = two
    async with (
        a.connect("global", client_id=f"{new_id}-1"),
        b.connect("global", client_id=f"{new_id}-2"),
        b.connect(f"crews/{new_id}", client_id=f"{new_id}-3"),
    ):
        status, body = await a.get(f"{PREFIX}/connections")

    assert (status, body["status"], body["cluster"]) == (200, "success", both("a"))
    data = body["data"]
    assert data["active_connections"] == data["matching"] == 3
    assert data["subscription_counts"] == {"global": 2, f"crew_{new_id}": 1}
    assert data["average_connection_duration"] > 0
    assert [(c["client_id"], c["instance"]) for c in data["connections"]] == [
        (f"{new_id}-1", "a"),
        (f"{new_id}-2", "b"),
        (f"{new_id}-3", "b"),
    ]
    assert data["next"] is None
    uptime = data["uptime_statistics"]
    assert uptime["connections_opened"] == 3
    assert [(one["instance"], one["active_connections"]) for one in uptime["instances"]] == [
        ("a", 1),
        ("b", 2),
    ]


async def test_the_pages_of_the_list_hold_everybody_once(two: Two, new_id: str) -> None:
    async with AsyncExitStack() as stack:
        for number in range(7):
            client_id = f"{new_id}-{number}"
            await stack.enter_async_context(two[number % 2].connect("global", client_id=client_id))
        seen: list[tuple[str, str]] = []
        after: str | None = ""
        pages = 0
        while after is not None:
            query = f"limit=3&after={after}" if after else "limit=3"
            _, body = await two[pages % 2].get(f"{PREFIX}/connections?{query}")
            assert body["data"]["matching"] == 7
            seen += [(c["client_id"], c["instance"]) for c in body["data"]["connections"]]
            after, pages = body["data"]["next"], pages + 1

    assert seen == [(f"{new_id}-{number}", "ab"[number % 2]) for number in range(7)]
    assert pages == 3


async def test_the_list_can_be_narrowed(two: Two, new_id: str) -> None:
    a, b = two
    async with (
        a.connect("global", client_id="1"),
        b.connect("custom", client_id="2") as custom,
        b.connect(f"executions/{new_id}", client_id="3"),
    ):
        await custom.ask({"action": "subscribe", "subscriptions": ["task.>", f"execution_{new_id}"]})
        found = {}
        for query in (
            "endpoint=global",
            "subscription=task_updates",
            f"subscription=execution_{new_id}",
            f"subscription=execution_{new_id}&endpoint=custom",
            "min_lag=1",
            "min_lag=0",
            "principal=somebody",
        ):
            _, body = await a.get(f"{PREFIX}/connections?{query}")
            assert body["data"]["active_connections"] == 3
            assert body["data"]["matching"] == len(body["data"]["connections"])
            found[query] = "".join(c["client_id"] for c in body["data"]["connections"])

    assert list(found.values()) == ["1", "2", "23", "2", "", "123", ""]


async def test_a_client_is_explained_wherever_it_is_connected(two: Two, new_id: str) -> None:
    a, b = two
    async with b.connect("custom", client_id=new_id, min_priority="high", batch=1) as listener:
        await listener.ask({"action": "subscribe", "subscriptions": ["task_updates", "task.completed"]})
        await listener.ask({"action": "dance"})
        status, body = await a.get(f"{PREFIX}/connections/{new_id}")

    assert (status, body["cluster"]) == (200, both("a"))
    client = body["data"]
    assert (client["client_id"], client["instance"], client["endpoint"]) == (new_id, "b", "custom")
    assert (client["state"], client["group_size"], client["batch"]) == ("live", 1, True)
    assert client["subscriptions"] == ["task_updates", "task.completed"]
    assert client["patterns"] == ["task.*.*.*"]
    assert client["filter"]["min_priority"] == "high"
    assert (client["epoch"], client["lag"]) == (listener.first["epoch"].partition("-")[0], 0)
    assert client["messages_sent"] >= 3
    assert client["bytes_sent"] > 100
    assert (client["commands_refused"], client["buffered_bytes"]) == (1, 0)
    assert client["remote"] == "127.0.0.1"
    assert client["user_agent"].startswith("Python/")
    assert client["opened_at"] <= client["last_heard"]


async def test_a_client_is_disconnected_wherever_it_is_and_nobody_else_is(two: Two, new_id: str) -> None:
    a, b = two
    async with (
        b.connect("global", client_id=new_id) as told,
        b.connect("custom") as other,
        a.connect("custom") as third,
    ):
        body = {"code": 4500, "reason": "go away"}
        status, answer = await a.send("POST", f"{PREFIX}/disconnect/{new_id}", body)
        await told.socket.wait_closed()
        assert (told.socket.close_code, told.socket.close_reason) == (4500, "go away")
        assert await other.nothing_more()
        assert await third.nothing_more()

    assert (status, answer["instances"], answer["cluster"]) == (200, ["b"], both("a"))


async def test_without_a_body_a_client_is_told_to_come_back(bridge: Client, new_id: str) -> None:
    async with bridge.connect("global", client_id=new_id) as told:
        status, answer = await bridge.send("POST", f"{PREFIX}/disconnect/{new_id}")
        await told.socket.wait_closed()

    assert (status, answer["code"], told.socket.close_code) == (200, 4003, 4003)


@pytest.mark.parametrize(("method", "path"), [("GET", "/connections/nobody"), ("POST", "/disconnect/nobody")])
async def test_a_client_that_no_bridge_knows_is_404_with_who_answered(
    two: Two, method: str, path: str
) -> None:
    status, body = await two[0].send(method, PREFIX + path)

    assert (status, body["code"], body["cluster"]) == (404, "unknown_client", both("a"))


async def test_stale_connections_are_ended_everywhere_and_named(two: Two, new_id: str) -> None:
    a, b = two
    async with (
        raw_client(a, "global", client_id=f"{new_id}-1") as one,
        raw_client(b, "custom", client_id=f"{new_id}-2") as two_,
        b.connect("custom") as lively,
    ):
        removed: dict[str, Any] = {}

        async def look() -> bool:
            status, body = await a.send("DELETE", f"{PREFIX}/connections?silent_seconds=0.5")
            assert (status, body["cluster"]) == (200, both("a"))
            removed.update({connection["client_id"]: connection for connection in body["removed"]})
            return len(removed) == 2

        await soon(look)
        assert (await one.closing())[0] == (await two_.closing())[0] == 4002
        assert await lively.nothing_more()
        _, health = await b.get(f"{PREFIX}/health")

    assert removed.keys() == {f"{new_id}-1", f"{new_id}-2"}
    stale = removed[f"{new_id}-2"]
    assert (stale["instance"], stale["endpoint"]) == ("b", "custom")
    assert stale["silent_seconds"] >= 0.5
    assert health["last_cleanup"] is not None


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("GET", "/connections?limit=0", None, 422, "limit"),
        ("GET", "/connections?limit=1&limit=2", None, 422, "limit"),
        ("GET", "/connections?colour=red", None, 422, "colour"),
        ("GET", "/connections?after=somebody", None, 422, "after"),
        ("GET", "/connections?subscription=a.b.c", None, 422, "subscription"),
        ("POST", "/disconnect/x", {"code": 1000}, 422, "code"),
        ("POST", "/disconnect/x", {"reason": "é" * 62}, 422, "reason"),
        ("POST", "/disconnect/x", {"why": "x"}, 422, "why"),
        ("POST", "/disconnect/x", b"[]", 422, None),
        ("POST", "/disconnect/x", b"{", 400, None),
        ("DELETE", "/connections?silent_seconds=0.1", None, 422, "silent_seconds"),
        ("DELETE", "/connections?silent_seconds=nan", None, 422, "silent_seconds"),
    ],
)
async def test_what_is_wrong_with_a_request_is_named(
    bridge: Client, method: str, path: str, body: Any, status: int, field: str | None
) -> None:
    answered, answer = await bridge.send(method, PREFIX + path, body)

    assert (answered, answer.get("field")) == (status, field)
    assert answer["code"] == ("invalid_json" if status == 400 else "invalid_request")
    assert answer["message"]


async def test_an_instance_that_is_killed_during_a_request_is_named_within_the_deadline(
    start_bridge: StartBridge, nats_url: str, new_id: str
) -> None:
    async with (
        start_bridge(instance="a", gather_seconds=0.5) as a,
        bridge_process(nats_url=nats_url, instance="victim") as victim,
    ):
        await knows(a, "victim")
        async with a.connect("global", client_id=new_id), victim.client.connect("global"):
            # Stopped, so that the question is with it, unanswered, when it is killed.
            victim.process.send_signal(signal.SIGSTOP)
            overhearing = await nats.connect(nats_url)
            questions = await overhearing.subscribe("_CREW_BRIDGE.*.survey")
            await overhearing.flush()
            began = monotonic()
            async with asyncio.TaskGroup() as tasks:
                asking = tasks.create_task(a.get(f"{PREFIX}/connections"))
                await questions.next_msg(10)
                victim.process.send_signal(signal.SIGKILL)
            took = monotonic() - began
            await overhearing.close()
            _, body = asking.result()

            coverage = body["cluster"]
            assert (coverage["answered"], coverage["missing"]) == (["a"], ["victim"])
            assert coverage["reachable"]
            assert [c["client_id"] for c in body["data"]["connections"]] == [new_id]
            assert took < 5
        status, body = await a.get(f"{PREFIX}/connections/nobody")
        assert (status, body["cluster"]["missing"]) == (404, ["victim"])
        assert "that answered" in body["message"]


async def test_an_instance_that_ends_in_an_orderly_way_is_not_missed(start_bridge: StartBridge) -> None:
    async with start_bridge(instance="a") as a:
        async with start_bridge(instance="b"):
            await knows(a, "b")
        await knows(a, "b", well=False)
        _, body = await a.get(f"{PREFIX}/connections")

    assert (body["cluster"]["answered"], body["cluster"]["missing"]) == (["a"], [])


async def test_without_nats_a_bridge_answers_for_itself_and_says_so(
    start_bridge: StartBridge, tmp_path: Path, new_id: str
) -> None:
    server = NatsServer(tmp_path)
    server.start()
    async with (
        start_bridge(instance="a", nats_url=server.url) as a,
        start_bridge(instance="b", nats_url=server.url) as b,
        a.connect("global", client_id=new_id) as listener,
    ):
        await knows(a, "b")
        server.kill()

        async def alone() -> Any:
            _, body = await a.get(f"{PREFIX}/connections")
            return body if not body["cluster"]["reachable"] else None

        body = await soon(alone)
        assert body["cluster"] == {"instance": "a", "answered": ["a"], "missing": ["b"], "reachable": False}
        assert [c["client_id"] for c in body["data"]["connections"]] == [new_id]
        status, _ = await a.send("POST", f"{PREFIX}/disconnect/{new_id}")
        await listener.socket.wait_closed()
        assert (status, listener.socket.close_code) == (200, 4003)

        server.start()
        await knows(b, "a")
        await soon(lambda: _is_complete(a))
    server.stop()


async def _is_complete(bridge: Client) -> bool:
    _, body = await bridge.get(f"{PREFIX}/connections")
    return bool(body["cluster"]["answered"] == ["a", "b"])


async def test_an_answer_may_be_larger_than_a_nats_message(two: Two, new_id: str) -> None:
    a, b = two
    names = [f"execution_{'x' * 100}{number}" for number in range(100)]
    async with AsyncExitStack() as stack:
        for number in range(100):
            listener = await stack.enter_async_context(b.connect("custom", client_id=f"{number:03}"))
            await listener.ask({"action": "subscribe", "subscriptions": names})
        status, body = await a.get(f"{PREFIX}/connections")

    assert (status, body["cluster"]) == (200, both("a"))
    assert [c["client_id"] for c in body["data"]["connections"]] == [f"{n:03}" for n in range(100)]
    assert all(c["subscriptions"] == names for c in body["data"]["connections"])


async def test_a_bridge_to_which_an_event_has_not_come_says_so_in_time(
    start_bridge: StartBridge, nats_url: str
) -> None:
    async with start_bridge(instance="a", gather_seconds=1) as bridge:
        _, ready = await bridge.get("/readyz")
        question = Reach(epoch=ready["epoch"], seq=ready["head"] + 1000).model_dump_json().encode()
        client = await nats.connect(nats_url)
        began = monotonic()
        answer = await client.request("_CREW_BRIDGE.CREW_EVENTS.reach", question, timeout=1)
        assert 0.5 < monotonic() - began < 0.95
        await client.close()
    assert Reached.model_validate_json(answer.data) == Reached(reached=0, behind=0, is_known=False)
