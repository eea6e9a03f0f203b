"""An operator watches one connection, wherever it is: what it is sent, and what it is not, and why."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import nats
import pytest

from bridge.crew import EventPublisher
from bridge.web.backlog import Backlog, Dropped
from bridge.web.tap import overhear
from contracts import create_task_event
from contracts.cluster import Tapping as Wish
from tests.client import PREFIX, Json
from tests.conftest import Client, StartBridge
from tests.nats_server import served
from tests.processes import bridge_process
from tests.waiting import soon
from tests.web.test_cluster import Two, both, knows, two
from tests.web.test_fleet import desk

__all__ = ["two"]


@pytest.fixture(scope="module")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What is said to everyone is said to the tests of this file only."""
    with served(tmp_path_factory.mktemp("nats")) as url:
        yield url


class Tapping:
    """The lines of one tap, in chunks of HTTP."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._lines: list[bytes] = []

    async def line(self, *, beats: bool = False) -> Json:
        """The next line that says something; with ``beats``, the next one whatever it says."""
        while True:
            async with asyncio.timeout(15):
                while not self._lines:
                    size = int(await self._reader.readline(), 16)
                    chunk = await self._reader.readexactly(size + 2)
                    if size == 0:
                        raise EOFError
                    self._lines = chunk.strip().split(b"\n")
            line: Json = json.loads(self._lines.pop(0))
            is_beat = "connection.heartbeat" in str(line.get("message")) or line["kind"] in {"ping", "alive"}
            if beats or not is_beat:
                return line


@asynccontextmanager
async def tapped(bridge: Client, client_id: str, query: str = "") -> AsyncIterator[Tapping]:
    """A tap, and its first line was as it should be."""
    address = urlsplit(bridge.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    path = f"{address.path}{PREFIX}/connections/{client_id}/tap{query}"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head
    assert b"application/x-ndjson" in head
    tap = Tapping(reader)
    first = await tap.line()
    assert (first["kind"], first["client_id"]) == ("tapping", client_id)
    try:
        yield tap
    finally:
        writer.close()


@pytest.mark.parametrize("asked", [0, 1], ids=["same bridge", "other bridge"])
async def test_a_tap_shows_what_the_client_is_sent_as_it_is_sent(
    two: Two, publisher: EventPublisher, new_id: str, asked: int
) -> None:
    async with (
        two[0].connect(f"executions/{new_id}", client_id=new_id) as listener,
        tapped(two[asked], new_id) as tap,
    ):
        await publisher.publish(create_task_event("t1", "completed", execution_id=new_id, result="done"))
        event = await listener.message()
        answer = await listener.ask({"action": "ping", "id": 7})
        lines = [await tap.line(), await tap.line()]
        await two[1].send("POST", f"{PREFIX}/disconnect/{new_id}", {"reason": "enough"})
        last = await tap.line()
        with pytest.raises(EOFError):
            await tap.line()

    assert [(line["kind"], line["message"]) for line in lines] == [("sent", event), ("sent", answer)]
    assert lines[0]["bytes"] > 100
    assert lines[0]["at"] <= lines[1]["at"]
    assert (last["kind"], last["code"], last["reason"]) == ("closed", 4003, "enough")


@pytest.mark.parametrize("asked", [0, 1], ids=["same bridge", "other bridge"])
async def test_an_explaining_tap_names_what_declined_each_event(
    two: Two, publisher: EventPublisher, new_id: str, asked: int
) -> None:
    async with two[0].connect("custom", client_id=new_id) as listener:
        await listener.ask({"action": "subscribe", "subscriptions": [f"execution_{new_id}"]})
        conditions = {"types": ["task.*"], "min_priority": "high", "agents": ["a1"], "tasks": ["t1"]}
        await listener.ask({"action": "filter", "filter": conditions})
        async with tapped(two[asked], new_id, "?explain=1") as tap:
            here = {"execution_id": new_id, "agent_id": "a1", "priority": "high"}
            for changed in (
                {"execution_id": "other"},
                {"agent_id": "a2"},
                {"priority": "low", "agent_id": "a2"},
                {"client_id": "somebody"},
                {"execution_id": "other", "client_id": new_id},
                {},
            ):
                await publisher.publish(create_task_event("t1", "completed", **(here | changed)))
            await publisher.publish(create_task_event("t2", "completed", **here))
            await two[0].send("POST", f"{PREFIX}/broadcast", {"event_type": "custom.note"})
            lines = [await tap.line() for _ in range(8)]

    told = {line.get("seq") or line["message"]["seq"]: line for line in lines}
    assert sorted(told) == list(range(min(told), min(told) + 8))
    found = [told[seq].get("declined_by", told[seq]["kind"]) for seq in sorted(told)]
    assert found == [
        ["subscription"],
        ["agents"],
        ["min_priority", "agents"],
        ["addressed"],
        "sent",
        "sent",
        ["tasks"],
        "sent",
    ]
    declined = next(line for line in lines if line["kind"] == "declined")
    assert declined["event_type"] == "task.completed"
    assert declined["subject"].startswith("task.completed._.")
    assert "message" not in declined


@pytest.mark.parametrize("asked", [0, 1], ids=["same bridge", "other bridge"])
async def test_a_tap_of_a_client_to_which_nothing_happens_says_that_it_is_alive(
    start_bridge: StartBridge, new_id: str, monkeypatch: pytest.MonkeyPatch, asked: int
) -> None:
    for module in ("tap", "tapped"):
        monkeypatch.setattr(f"bridge.web.{module}.ALIVE_SECONDS", 0.1)
    async with start_bridge(instance="a") as a, start_bridge(instance="b") as b:
        await knows(b, "a")
        async with a.connect("custom", client_id=new_id), tapped((a, b)[asked], new_id) as tap:
            assert [(await tap.line(beats=True))["kind"] for _ in range(2)] == ["alive", "alive"]


async def test_there_are_so_many_taps_at_once_and_who_ends_one_makes_room(
    bridge: Client, new_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.web.tap._MAX_TAPS", 1)
    monkeypatch.setattr("bridge.web.tapped.ALIVE_SECONDS", 0.1)
    path = f"{PREFIX}/connections/{new_id}/tap"
    async with bridge.connect("custom", client_id=new_id):
        async with tapped(bridge, new_id):
            status, body = await bridge.get(path)
            assert (status, body["code"]) == (503, "too_many_taps")

        async def has_room() -> bool:
            status, body = await bridge.get(f"{PREFIX}/connections/nobody/tap")
            return (status, body["code"]) == (404, "unknown_client")

        await soon(has_room)


async def test_of_a_client_that_has_just_gone_there_is_nothing_to_tell() -> None:
    """Between the question where it is, and the tap."""
    wish = Wish(client_id="gone").model_dump_json().encode()

    assert [line async for line in overhear(desk("a"), wish)] == []


async def test_a_client_that_nobody_knows_cannot_be_tapped(two: Two) -> None:
    status, body = await two[0].get(f"{PREFIX}/connections/nobody/tap")

    assert (status, body["code"], body["cluster"]) == (404, "unknown_client", both("a"))


async def test_whatever_a_client_is_sent_is_one_line(bridge: Client, new_id: str) -> None:
    """JSON that its publisher spread over lines, and what is too large to be shown."""
    async with (
        bridge.connect(f"executions/{new_id}", client_id=new_id, batch=1) as listener,
        tapped(bridge, new_id) as tap,
    ):
        client = await nats.connect(bridge.nats_url)
        for size in (1, 600_000):
            body = json.dumps({"data": {"result": "x" * size}}, indent=2)
            await client.publish(f"task.completed._.{new_id}", body.encode())
        batches = [await listener.message() for _ in range(2)]
        lines = [await tap.line() for _ in range(2)]
        await client.close()

    assert lines[0]["message"] == batches[0]
    assert lines[1]["bytes"] > 600_000
    assert lines[1]["text"].startswith('[{"seq":')
    assert len(lines[1]["text"]) == 200


async def test_when_nobody_taps_any_more_nothing_is_overheard(
    bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    async with bridge.connect(f"executions/{new_id}", client_id=new_id) as listener:
        async with tapped(bridge, new_id, "?explain=1"), tapped(bridge, new_id):
            pass
        async with tapped(bridge, new_id) as tap:
            await publisher.publish(create_task_event("t1", "completed", execution_id=new_id))
            assert (await tap.line())["kind"] == "sent"
        await publisher.publish(create_task_event("t2", "completed", execution_id=new_id))
        assert [event["task_id"] for event in await listener.events(2)] == ["t1", "t2"]


async def test_a_tap_that_is_not_read_delays_nobody_and_counts_what_it_drops(
    two: Two, publisher: EventPublisher, new_id: str
) -> None:
    a, b = two
    count = 800
    async with (
        b.connect(f"executions/{new_id}", client_id=new_id) as listener,
        tapped(a, new_id) as tap,
    ):
        for number in range(count):
            event = create_task_event(f"t{number}", "completed", execution_id=new_id, result="x" * 20_000)
            await publisher.publish(event)
        got = [event["task_id"] for event in await listener.events(count)]
        assert got == [f"t{number}" for number in range(count)]

        shown = dropped = 0
        while shown + dropped < count:
            line = await tap.line()
            shown += line["kind"] == "sent"
            dropped += line.get("count", 0)
    assert dropped > 0
    assert shown + dropped == count


async def test_a_tap_says_when_the_bridge_of_its_client_is_gone(
    start_bridge: StartBridge, nats_url: str, new_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.broker.relay.SILENCE_SECONDS", 1.0)
    async with (
        start_bridge(instance="a") as a,
        bridge_process(nats_url=nats_url, instance="victim") as victim,
    ):
        await knows(a, "victim")
        async with victim.client.connect("global", client_id=new_id), tapped(a, new_id) as tap:
            victim.process.send_signal(signal.SIGKILL)
            last = await tap.line()
            with pytest.raises(EOFError):
                await tap.line()
    assert (last["kind"], last["instance"]) == ("lost", "victim")


async def test_a_backlog_tells_where_how_much_was_dropped() -> None:
    backlog: Backlog[str] = Backlog(max_bytes=1000)
    for item in "abcdef":
        backlog.put(item, 100)
    taken = [await backlog.take(1) for _ in range(4)]
    backlog.put("g", 1)
    backlog.put("too large", 1000)
    backlog.close("end")
    backlog.put("after", 1)
    backlog.close("twice")

    assert taken == ["a", "b", "c", Dropped(3)]
    assert [await backlog.take(1) for _ in range(3)] == ["g", Dropped(1), "end"]
    with pytest.raises(EOFError):
        await backlog.take(1)


async def test_what_is_many_in_one_counts_as_many_when_it_is_dropped() -> None:
    backlog: Backlog[str] = Backlog(max_bytes=500, count_of=len)
    for item in ("a", "bcd", "ef"):
        backlog.put(item, 100)

    assert [await backlog.take(1), await backlog.take(1)] == ["a", Dropped(5)]


async def test_an_empty_backlog_gives_up_after_a_while() -> None:
    assert await Backlog[str]().take(0.01) is None
