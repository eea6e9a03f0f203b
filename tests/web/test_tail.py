"""The view in a terminal goes on where it was, whatever becomes of its connection and of the stream."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import nats
import pytest

from bridge.crew import EventPublisher
from bridge.web.tail import TailRefusedError, tail
from contracts import create_task_event
from tests.client import PREFIX
from tests.conftest import Client, StartBridge
from tests.nats_server import served
from tests.proxy import proxied
from tests.waiting import soon, until
from tests.web.peer import SUBSCRIBED, UNAVAILABLE, Peer, established, event, heartbeat


@pytest.fixture(scope="module")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The stream is deleted here, which concerns the tests of this file only."""
    with served(tmp_path_factory.mktemp("nats")) as url:
        yield url


@asynccontextmanager
async def tailing(bridge: Client, url: str, execution_id: str) -> AsyncIterator[list[str]]:
    """The lines of a tail that has subscribed."""
    lines: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        subscription = f"execution_{execution_id}"
        task = tasks.create_task(
            tail(f"{url}{PREFIX}", [subscription], since=None, out=lines.append, note=lines.append)
        )
        await soon(lambda: _subscribed(bridge, subscription))
        yield lines
        task.cancel()


async def _subscribed(bridge: Client, subscription: str) -> list[Any]:
    _, body = await bridge.get(f"{PREFIX}/connections?subscription={subscription}")
    return list(body["data"]["connections"])


async def _end(bridge: Client, execution_id: str) -> None:
    (connection,) = await _subscribed(bridge, f"execution_{execution_id}")
    await bridge.send("POST", f"{PREFIX}/disconnect/{connection['client_id']}")


def _tasks(lines: list[str]) -> list[str]:
    return [line.split()[4] for line in lines if "task.completed" in line]


async def _publish(publisher: EventPublisher, execution_id: str, *tasks: str) -> None:
    for task in tasks:
        await publisher.publish(create_task_event(task, "completed", execution_id=execution_id))


async def test_what_happens_before_the_first_event_was_shown_is_not_missed(
    bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    async with tailing(bridge, bridge.url, new_id) as lines:
        await _end(bridge, new_id)
        await _publish(publisher, new_id, "t1")
        await until(lambda: _tasks(lines))

    assert _tasks(lines) == ["t1"]
    assert any(line.startswith("-- connection closed (4003); trying again in ") for line in lines)


async def test_after_the_stream_was_made_anew_nothing_is_shown_twice(
    start_bridge: StartBridge, publisher: EventPublisher, new_id: str
) -> None:
    async with (
        start_bridge(feed_heartbeat_seconds=0.2) as bridge,
        tailing(bridge, bridge.url, new_id) as lines,
    ):
        await _publish(publisher, new_id, "t1")
        await until(lambda: len(_tasks(lines)) == 1)
        client = await nats.connect(bridge.nats_url)
        await client.jetstream().delete_stream("CREW_EVENTS")
        await client.close()
        async with asyncio.timeout(60):
            await _publish(publisher, new_id, "t2")
        await until(lambda: len(_tasks(lines)) == 2)
        await _end(bridge, new_id)
        await _publish(publisher, new_id, "t3")
        await until(lambda: len(_tasks(lines)) >= 3)

    assert _tasks(lines) == ["t1", "t2", "t3"]


async def test_a_bridge_that_says_nothing_any_more_is_left(
    bridge: Client, publisher: EventPublisher, new_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.web.tail._PING_SECONDS", 0.4)
    async with proxied(bridge.url) as proxy, tailing(bridge, proxy.url, new_id) as lines:
        proxy.stall()
        await _publish(publisher, new_id, "t1")
        await until(lambda: any("trying again" in line for line in lines))
        proxy.cut()
        proxy.resume()
        await until(lambda: _tasks(lines))

    assert _tasks(lines) == ["t1"]


async def test_what_will_never_be_shown_ends_it(bridge: Client) -> None:
    with pytest.raises(TailRefusedError, match=r"refused: subscriptions\.0 .no subscription. is neither"):
        await tail(f"{bridge.url}{PREFIX}", ["no subscription"], since=None, out=print, note=print)
    with pytest.raises(TailRefusedError, match="answers 404"):
        await tail(f"{bridge.url}/elsewhere", ["global"], since=None, out=print, note=print)


@asynccontextmanager
async def visiting(since: int | None = None) -> AsyncIterator[tuple[Peer, list[str], list[str]]]:
    """A tail at a peer, the lines that it shows, and what it says of its connection."""
    shown: list[str] = []
    said: list[str] = []
    async with Peer().running() as peer, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(tail(peer.url, ["global"], since=since, out=shown.append, note=said.append))
        yield peer, shown, said
        task.cancel()


async def test_a_subscription_that_cannot_be_had_now_is_asked_for_again_from_the_same_place() -> None:
    async with visiting() as (peer, shown, said):
        first = await peer.visit()
        await first.say(established(5))
        assert (await first.heard())["since"] == "5-5f"
        await first.say(heartbeat(90))
        await first.say(event(91, audience="everyone"))
        await first.say(UNAVAILABLE)

        second = await peer.visit()
        await second.say(established(99))
        assert (await second.heard())["since"] == "5-5f"
        await second.say(SUBSCRIBED)
        await second.say(event(91, audience="everyone"))
        await second.say(heartbeat(99))
        await second.say(event(100))
        await until(lambda: len(shown) == 2)
        await second.close(4000, '{"retry_after_ms": 1}')

        third = await peer.visit()
        await third.say(established(200))
        assert (await third.heard())["since"] == "100-5f"

    assert said[0].startswith("-- the stream does not answer; try again; trying again in ")
    assert said[1].startswith("-- connection closed (4000); trying again in ")


@pytest.mark.parametrize(
    "reason", ["", "maintenance", "null", "[]", '{"retry_after_ms": -5}', '{"retry_after_ms": true}']
)
async def test_who_is_told_nothing_that_makes_sense_waits_for_a_moment(reason: str) -> None:
    async with visiting() as (peer, _, said):
        visit = await peer.visit()
        await visit.say(established(5))
        await visit.close(4000, reason)
        await peer.visit()
    assert 0.5 <= float(said[0].split()[-2]) <= 1


async def test_a_bridge_says_how_long_to_stay_away_and_nobody_longer_than_five_minutes() -> None:
    async with visiting() as (peer, _, said):
        visit = await peer.visit()
        await visit.close(4000, '{"retry_after_ms": 1100}')
        visit = await peer.visit()
        await visit.close(4000, '{"retry_after_ms": 1e300}')
        await until(lambda: len(said) == 2)
    assert [line.partition("; ")[2] for line in said] == ["trying again in 1.1 s", "trying again in 300.0 s"]


@pytest.mark.parametrize("status", [429, 502, 503])
async def test_a_bridge_that_lets_nobody_in_for_now_is_asked_again_when_it_says(status: int) -> None:
    async with visiting() as (peer, _, said):
        peer.answers = [(status, {"Retry-After": "1"}), (status, {"Retry-After": "soon"})]
        await peer.visit()
    assert [line.partition(";")[0] for line in said] == [f"-- the bridge answers {status}"] * 2


async def test_what_this_version_cannot_read_is_told_and_passed_over() -> None:
    async with visiting(since=5) as (peer, shown, _):
        visit = await peer.visit()
        await visit.say(established(9))
        assert (await visit.heard())["since"] == 5
        await visit.say(
            SUBSCRIBED | {"recovery": {"recovered": False, "reason": "unknown_cursor", "from": 10, "to": 9}}
        )
        await visit.say({"type": "news"})
        await visit.say(event(10))
        await until(lambda: len(shown) == 3)
    assert shown[0] == "-- the events go on elsewhere (unknown_cursor): some may be missing"
    assert shown[1].startswith("-- a message that this version cannot read: ")


@pytest.mark.parametrize(
    ("code", "status"), [(4500, None), (4501, None), (1009, None), (None, 401), (None, 404)]
)
async def test_what_another_try_would_not_better_ends_it_with_a_reason(
    code: int | None, status: int | None
) -> None:
    async with Peer().running() as peer, asyncio.TaskGroup() as tasks:
        peer.answers = [(status, {})] if status else []
        task = tasks.create_task(_failure(peer.url))
        if code:
            await (await peer.visit()).close(code, "why")
        assert (f"{code} why" if code else f"answers {status}") in await task


async def test_a_host_that_nobody_knows_and_a_server_without_tls_end_it(bridge: Client) -> None:
    assert "Cannot connect to host no-such-host.invalid" in await _failure("http://no-such-host.invalid")
    assert "Cannot connect to host 127.0.0.1" in await _failure(bridge.url.replace("http", "https"))
    assert "is no address of a bridge" in await _failure("http://..a")


async def _failure(url: str) -> str:
    with pytest.raises(TailRefusedError) as caught:
        await tail(url, ["global"], since=None, out=print, note=print)
    return str(caught.value)


async def test_a_handshake_that_is_never_answered_is_left(
    bridge: Client, new_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.web.tail._HANDSHAKE_SECONDS", 0.3)
    said: list[str] = []
    async with proxied(bridge.url) as proxy, asyncio.TaskGroup() as tasks:
        proxy.stall()
        names = [f"execution_{new_id}"]
        task = tasks.create_task(tail(f"{proxy.url}{PREFIX}", names, since=None, out=print, note=said.append))
        await until(lambda: said)
        proxy.cut()
        proxy.resume()
        await soon(lambda: _subscribed(bridge, names[0]))
        task.cancel()
    assert said[0].startswith("-- the bridge says nothing; trying again in ")
