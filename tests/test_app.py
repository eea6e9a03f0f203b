"""The bridge inside somebody else's aiohttp application."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bridge.app import CONNECTIONS, ConnectionManager, Settings, create_app
from bridge.broker.publisher import Publisher
from bridge.core.hub import Hub
from bridge.crew import EventPublisher
from bridge.service import Running
from bridge.web.errors import UnknownClientError
from contracts import ContractError, WebSocketEvent, create_task_event
from contracts.operations import Broadcast
from tests.client import PREFIX, Client, Json, Listener
from tests.conftest import StartBridge
from tests.nats_server import served
from tests.waiting import soon
from tests.web.raw import SMALL, raw_client
from tests.web.test_cluster import knows
from tests.web.test_tap import tapped


@pytest.fixture(scope="module")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What is said to everyone is said to the tests of this file only."""
    with served(tmp_path_factory.mktemp("nats")) as url:
        yield url


class Embedded(Client):
    """A parent with the bridge below ``/bridge``, and a route of its own that its users connect to."""

    def __init__(self, running: Running, connections: ConnectionManager, runner: web.AppRunner) -> None:
        super().__init__(running)
        self.connections = connections
        self.runner = runner


@asynccontextmanager
async def embedded(nats_url: str, **settings: Any) -> AsyncIterator[Embedded]:
    app = create_app(Settings(nats_url=nats_url, **settings))
    parent = web.Application()

    async def watch(request: web.Request) -> web.StreamResponse:
        user = request.match_info["user"]
        return await app[CONNECTIONS].connect(request, [f"crew_{user}"], client_id=user)

    parent.add_subapp("/bridge", app)
    parent.router.add_get("/watch/{user}", watch)
    runner = web.AppRunner(parent)
    # As a server may do it: the cleanup is another task than the start.
    await asyncio.gather(runner.setup())
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        client = Embedded(Running(f"http://{host}:{port}/bridge", nats_url), app[CONNECTIONS], runner)
        await soon(client.is_ready)
        yield client
    finally:
        await runner.cleanup()


async def _watching(bridge: Embedded, user: str) -> Any:
    address = bridge.url.replace("http", "ws", 1).removesuffix("/bridge")
    return connect(f"{address}/watch/{user}")


async def test_its_routes_are_below_the_parents_and_the_page_knows(nats_url: str, new_id: str) -> None:
    async with embedded(nats_url) as bridge, bridge.connect(f"crews/{new_id}", client_id=new_id) as client:
        _, page = await bridge.get("/")
        _, api = await bridge.get("/openapi.json")
        status, listed = await bridge.get(f"{PREFIX}/connections")
        await bridge.send("POST", f"{PREFIX}/broadcast/crew_{new_id}", {"event_type": "custom.note"})
        assert (await client.message())["event_type"] == "custom.note"

    assert f'new URL("{PREFIX.removeprefix("/")}/ws/custom", ' in page
    assert api["servers"] == [{"url": "."}]
    assert (status, listed["data"]["active_connections"]) == (200, 1)


async def test_a_handler_of_the_parent_serves_its_own_users(nats_url: str, new_id: str) -> None:
    async with embedded(nats_url) as bridge:
        async with await _watching(bridge, new_id) as socket:
            user = Listener(socket, await _first(socket))
            assert user.first["client_id"] == new_id
            assert (user.first["endpoint"], user.first["subscriptions"]) == (
                "application",
                [f"crew_{new_id}"],
            )
            status, told = await bridge.get(f"{PREFIX}/connections/{new_id}")
            assert (status, told["data"]["endpoint"]) == (200, "application")
            await bridge.connections.disconnect(new_id, reason="logged out")
            await socket.wait_closed()
            assert (socket.close_code, socket.close_reason) == (4003, "logged out")
        with pytest.raises(UnknownClientError):
            await bridge.connections.disconnect(new_id)
        with pytest.raises(InvalidStatus):
            async with await _watching(bridge, "a.b"):
                pass


async def test_a_user_of_the_parent_resumes_as_every_client_does(nats_url: str, new_id: str) -> None:
    async with embedded(nats_url) as bridge, EventPublisher(nats_url) as publisher:
        async with await _watching(bridge, new_id) as socket:
            place = (await _first(socket))["data"]
        for number in range(3):
            await publisher.publish(create_task_event(f"t{number}", "completed", crew_id=new_id))
        query = f"?since={place['cursor']}&epoch={place['epoch']}&token=of-the-parent&client_id=another"
        async with await _watching(bridge, new_id + query) as socket:
            user = Listener(socket, await _first(socket))
            assert user.first["client_id"] == new_id
            assert [event["task_id"] for event in await user.events(3)] == ["t0", "t1", "t2"]
        with pytest.raises(InvalidStatus) as refused:
            async with await _watching(bridge, new_id + "?since=yesterday"):
                pass

    assert refused.value.response.status_code == 400
    assert json.loads(refused.value.response.body or b"")["field"] == "since"


async def _first(socket: Any) -> Any:
    return json.loads(await socket.recv())


async def test_messages_reach_whom_they_are_for_in_the_whole_cluster_at_once(
    nats_url: str, start_bridge: StartBridge, new_id: str
) -> None:
    async with (
        start_bridge(instance="b") as other,
        embedded(nats_url, instance="a") as bridge,
        bridge.connect(f"crews/{new_id}", client_id="1") as one,
        other.connect("global", client_id="2") as two,
        other.connect("custom", client_id="3") as three,
    ):
        await knows(bridge, "b")
        send = bridge.connections
        assert await send.send_personal_json({"type": "note", "to": 3}, "3")
        assert await send.send_personal_message('{"type": "note", "to": 1}', "1")
        assert not await send.send_personal_message("nobody", "4")
        assert await send.broadcast_json({"type": "note", "to": "all"}) == 3
        assert await send.broadcast_message('{"type": "note", "to": "crew"}', f"crew_{new_id}") == 2
        for listener, addressees in ((one, (1, "all", "crew")), (two, ("all", "crew")), (three, (3, "all"))):
            for to in addressees:
                assert await listener.message() == {"type": "note", "to": to}
            assert await listener.nothing_more()
        with pytest.raises(ContractError):
            await send.broadcast_message("x", "no subscription")
        with pytest.raises(ValueError, match="at most"):
            await send.broadcast_message("x" * 300_000)


async def test_a_tap_shows_texts_that_are_no_json(nats_url: str, new_id: str) -> None:
    async with (
        embedded(nats_url) as bridge,
        bridge.connect("custom", client_id=new_id),
        tapped(bridge, new_id) as tap,
    ):
        assert await bridge.connections.send_personal_message("good evening", new_id)
        line = await tap.line()

    assert (line["kind"], line["text"], line["bytes"]) == ("sent", "good evening", 12)


async def test_who_has_no_room_is_skipped(nats_url: str, new_id: str) -> None:
    async with (
        embedded(nats_url, buffer_bytes=64 * 1024) as bridge,
        raw_client(bridge, "custom", client_id=new_id, receive_buffer=SMALL),
    ):
        sent = 0
        while await bridge.connections.send_personal_message("x" * 100_000, new_id):
            sent += 1
            assert sent < 1000


async def test_events_for_one_client_and_for_many_go_through_the_stream(nats_url: str, new_id: str) -> None:
    event = create_task_event("t1", "completed", execution_id=new_id, source="me", result="done")
    async with embedded(nats_url) as bridge:
        async with bridge.connect("custom", client_id=new_id) as first:
            begin, epoch = first.first["cursor"], first.first["epoch"]
            sent = await bridge.connections.send_event(event, new_id)
            got = await first.message()
            assert (got["seq"], got["client_id"], got["event_id"]) == (sent.sequence, new_id, event.event_id)
            assert (sent.connections_reached, sent.client_id, sent.audience) == (1, new_id, None)
        note = WebSocketEvent.create("custom.note", {"text": "hello"})
        for_all = await bridge.connections.broadcast_event(note)
        for_crew = await bridge.connections.broadcast_event(
            WebSocketEvent.create("custom.note"), f"crew_{new_id}"
        )
        assert (for_all.connections_reached, for_all.event_id) == (0, note.event_id)
        resumed = {"client_id": new_id, "since": begin, "epoch": epoch}
        async with bridge.connect(f"crews/{new_id}", **resumed) as second:
            expected = [sent.sequence, for_all.sequence, for_crew.sequence]
            assert [got["seq"] for got in await second.events(3)] == expected
            stats = await bridge.connections.get_connection_stats()
    assert stats.keys() == {
        *("active_connections", "subscription_counts", "average_connection_duration", "uptime_statistics"),
    }
    assert (stats["active_connections"], stats["subscription_counts"]) == (1, {f"crew_{new_id}": 1})


def outcomes(logged: Sequence[Mapping[str, Any]]) -> list[str]:
    """How that ended of which the audit has a record."""
    return [line["outcome"] for line in logged if line.get("logger") == "audit"]


async def _change(bridge: Embedded, watching: Listener, client_id: str) -> tuple[list[Json], Broadcast]:
    """What ``watching`` is told of what was done."""
    connections, note = bridge.connections, WebSocketEvent.create("custom.note", {"text": "hello"})
    await watching.ask({"action": "subscribe", "subscriptions": ["system.admin_action"]})
    async with bridge.connect("global", client_id=client_id):
        await connections.disconnect(client_id, reason="logged out")
    with pytest.raises(UnknownClientError):
        await connections.disconnect(client_id)
    sent = await connections.broadcast_event(note, f"crew_{client_id}")
    await connections.clean_up()
    with pytest.raises(ContractError):
        await connections.broadcast_event(note, "no subscription")
    acts = [(await watching.message())["data"] for _ in range(3)]
    # What leaves no trace, and what is for one client, is no change.
    await connections.broadcast_message("text")
    assert await watching.socket.recv() == "text"
    assert await watching.nothing_more()
    return acts, sent


async def test_what_the_application_changes_is_audited_as_what_operators_change(
    nats_url: str, new_id: str
) -> None:
    with capture_logs() as logged:
        async with embedded(nats_url) as bridge, bridge.connect("custom") as watching:
            acts, sent = await _change(bridge, watching, new_id)

    assert [(act["action"], act.get("target"), act["outcome"]) for act in acts] == [
        ("disconnect", new_id, "done"),
        ("broadcast_to_subscription", f"crew_{new_id}", "done"),
        ("clean_up", None, "done"),
    ]
    assert acts[0]["parameters"] == {"code": 4003, "reason": "logged out"}
    assert acts[1]["parameters"]["sequence"] == sent.sequence
    assert outcomes(logged) == ["done", "unknown_client", "done", "done", "invalid_request"]


async def test_a_change_that_the_stream_does_not_take_is_audited_as_such(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: Publisher, event: WebSocketEvent) -> int:
        raise OSError("no")

    with capture_logs() as logged:
        async with embedded(nats_url) as bridge:
            monkeypatch.setattr(Publisher, "publish", fail)
            with pytest.raises(OSError, match="no"):
                await bridge.connections.broadcast_event(WebSocketEvent.create("custom.note"))

    assert outcomes(logged) == ["unavailable"]


async def test_when_the_parent_shuts_down_clients_are_sent_away(nats_url: str) -> None:
    async with embedded(nats_url, drain_seconds=1) as bridge, bridge.connect("global") as listener:
        await asyncio.gather(bridge.runner.cleanup(), listener.socket.wait_closed())

    assert listener.socket.close_code == 4000


async def test_what_keeps_it_from_starting_keeps_the_parent_from_starting(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no directory")
    parent = web.Application()
    parent.add_subapp("/bridge", create_app(Settings(data_dir=tmp_path / "data")))
    runner = web.AppRunner(parent)

    with pytest.raises(NotADirectoryError):
        await runner.setup()


async def test_a_bridge_that_fails_later_sends_its_clients_away_and_is_not_ready(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Hub) -> Iterator[None]:
        yield
        raise RuntimeError("flushing failed")

    async with AsyncExitStack() as stack:
        bridge = await stack.enter_async_context(embedded(nats_url, drain_seconds=1))
        listener = await stack.enter_async_context(bridge.connect("global"))
        monkeypatch.setattr(Hub, "flush", fail)
        with suppress(OSError):  # it may be gone before it knows whom it reached
            await bridge.connections.broadcast_event(WebSocketEvent.create("custom.note"))
        await listener.socket.wait_closed()
        assert listener.socket.close_code == 4000
        assert (await bridge.get("/readyz"))[0] == 503
        with pytest.raises(RuntimeError, match="flushing failed"):
            await stack.aclose()
