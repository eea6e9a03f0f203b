"""What was sent and not acknowledged is stored once: whatever the clocks say, and whatever came since."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, StreamSource

from bridge.crew import EventPublisher, search
from bridge.crew.doubt import UNKNOWN, Doubt, Position, Search
from bridge.crew.message import Message
from bridge.crew.spool import Spool
from contracts import WebSocketEvent, create_task_event
from tests.crew.stored import everything
from tests.crew.test_courier import Hire, hire, tasks
from tests.crew.test_spool import messages
from tests.nats_server import NatsServer
from tests.proxy import proxied
from tests.waiting import soon, until

__all__ = ["hire"]

_WINDOW = 0.1
"""Seconds for which a stream knows an id again: the least that a server takes."""

Meanwhile = Callable[[str], Awaitable[None]]


async def _nothing(url: str) -> None:
    """Only the window passes."""


async def _publish_with_lost_answer(
    url: str,
    event: WebSocketEvent,
    source: str,
    meanwhile: Meanwhile = _nothing,
    *,
    through: str | None = None,
    is_last: bool = False,
) -> None:
    """Publish over a connection that goes before the acknowledgement comes; let the stream forget the id.

    Something else follows on the event's subject, unless that ``is_last``.
    """
    warm = create_task_event("warm", "completed", source=source)
    async with proxied(through or url) as proxy, EventPublisher(_of(proxy.url, through)) as publisher:
        await publisher.publish(warm)
        proxy.mute()
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            sending = group.create_task(publisher.publish(event))
            await soon(lambda: _holds(url, event))
            await asyncio.sleep(2 * _WINDOW)
            if not is_last:
                await _follow(url, event)
            await meanwhile(url)
            proxy.cut()
            proxy.resume()
            await sending
        assert publisher.retries > 0


async def _follow(url: str, event: WebSocketEvent) -> None:
    async with await nats.connect(url) as client:
        await client.jetstream().publish(event.address, b"{}")


def _of(proxy_url: str, through: str | None) -> str:
    """The proxy's address with the credentials of the server's."""
    if through is None or "@" not in through:
        return proxy_url
    return proxy_url.replace("nats://", through[: through.index("@") + 1])


async def _holds(url: str, event: WebSocketEvent) -> bool:
    async with await nats.connect(url) as client:
        info = await client.jetstream().stream_info("CREW_EVENTS", subjects_filter=event.address)
    return bool(info.state.subjects)


async def _times_stored(url: str, event: WebSocketEvent) -> int:
    stored = await everything(url)
    return sum(message.headers.get("Nats-Msg-Id") == event.event_id for message in stored)


@pytest.mark.parametrize("ahead", [0, 60, 600, 3_600, -86_400])
async def test_whatever_the_clock_of_the_worker_says(
    mortal_server: NatsServer, source: str, ahead: int
) -> None:
    mortal_server.start()
    await mortal_server.make_stream(duplicate_window=_WINDOW)
    when = datetime.now(UTC) + timedelta(seconds=ahead)
    event = create_task_event("t", "completed", execution_id=source, source=source, timestamp=when)

    await _publish_with_lost_answer(mortal_server.url, event, source)

    assert await _times_stored(mortal_server.url, event) == 1


async def test_however_much_of_its_subject_came_since(
    mortal_server: NatsServer, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than is looked through at one go: the search goes on where it was."""
    mortal_server.start()
    await mortal_server.make_stream(duplicate_window=_WINDOW)
    event = create_task_event("t", "completed", source=source)
    monkeypatch.setattr(search, "_SECONDS", 0.1)

    async def flood(url: str) -> None:
        async with await nats.connect(url) as client:
            for _ in range(30_000):
                await client.publish(event.address, b"{}")
            await client.flush()

    await _publish_with_lost_answer(mortal_server.url, event, source, flood)

    async with await nats.connect(mortal_server.url) as client:
        state = (await client.jetstream().stream_info("CREW_EVENTS")).state
    assert state.messages == 30_003


async def test_what_is_the_last_of_its_subject_is_found_at_once(
    mortal_server: NatsServer, source: str
) -> None:
    mortal_server.start()
    await mortal_server.make_stream(duplicate_window=_WINDOW)
    event = create_task_event("t", "completed", source=source)
    asked: list[str] = []

    async def note(request: Msg) -> None:
        asked.append(request.subject)

    async with await nats.connect(mortal_server.url) as client:
        await client.subscribe("$JS.API.CONSUMER.>", cb=note)
        await client.flush()
        for is_last in (False, True):
            asked.clear()
            await _publish_with_lost_answer(mortal_server.url, event, source, is_last=is_last)
            assert bool(asked) is not is_last
            assert await _times_stored(mortal_server.url, event) == 1
            event = create_task_event("u", "completed", source=source)


async def test_in_a_stream_with_sources_which_forgets_at_once(mortal_server: NatsServer, source: str) -> None:
    mortal_server.start()
    async with await nats.connect(mortal_server.url) as client:
        await client.jetstream().add_stream(name="OTHER", subjects=["invoice.>"])
    await mortal_server.make_stream(sources=[StreamSource(name="OTHER")])
    event = create_task_event("t", "completed", source=source)

    await _publish_with_lost_answer(mortal_server.url, event, source)

    assert await _times_stored(mortal_server.url, event) == 1


_LIMITED = 'jetstream {{ store_dir: "{store}", limits {{ duplicate_window: "100ms" }} }}'


async def test_where_the_server_limits_the_window(tmp_path: Path, source: str) -> None:
    server = NatsServer(tmp_path, jetstream=False)
    server.configure(_LIMITED.format(store=tmp_path))
    server.start()
    event = create_task_event("t", "completed", source=source)
    try:
        await server.make_stream(duplicate_window=_WINDOW)
        await _publish_with_lost_answer(server.url, event, source)
        assert await _times_stored(server.url, event) == 1
    finally:
        server.stop()


@pytest.mark.parametrize(
    "limits", [{"consumer_limits": {"inactive_threshold": 10**9}}, {"max_consumers": 1}], ids=["idle", "few"]
)
async def test_where_the_stream_limits_consumers(
    mortal_server: NatsServer, source: str, limits: dict[str, Any]
) -> None:
    mortal_server.start()
    await mortal_server.make_stream(duplicate_window=_WINDOW, **limits)
    event = create_task_event("t", "completed", source=source)

    async def take_the_last_consumer(url: str) -> None:
        async with await nats.connect(url) as client:
            config = ConsumerConfig(durable_name="other")
            await client.jetstream().add_consumer("CREW_EVENTS", config)

    meanwhile = take_the_last_consumer if "max_consumers" in limits else _nothing
    await _publish_with_lost_answer(mortal_server.url, event, source, meanwhile)

    async with await nats.connect(mortal_server.url) as client:
        assert (await client.jetstream().stream_info("CREW_EVENTS")).state.messages == 3


_USERS = """
authorization {
  users: [
    {user: all, password: all}
    {user: few, password: few, permissions: {publish: {deny: [%s]}}}
  ]
}
"""
_READ, _CONSUME = '"$JS.API.STREAM.MSG.GET.>"', '"$JS.API.CONSUMER.>"'


@pytest.mark.parametrize(
    ("denied", "times"),
    [(_READ, 1), (_CONSUME, 1), ('"$JS.API.STREAM.INFO.>"', 1), (f"{_READ}, {_CONSUME}", 2)],
    ids=["no reading", "no consumer", "no asking", "neither"],
)
async def test_who_may_look_in_one_way_looks(
    mortal_server: NatsServer, source: str, denied: str, times: int
) -> None:
    """Who may in none has only the window of the stream."""
    mortal_server.configure(_USERS % denied)
    mortal_server.start()
    host = mortal_server.url.removeprefix("nats://")
    owner = f"nats://all:all@{host}"
    await mortal_server.make_stream(url=owner, duplicate_window=_WINDOW)
    event = create_task_event("t", "completed", source=source)

    await _publish_with_lost_answer(owner, event, source, through=f"nats://few:few@{host}")

    assert await _times_stored(owner, event) == times


async def test_what_was_purged_meanwhile_comes_again(mortal_server: NatsServer, source: str) -> None:
    """It is not there: nobody can say that it was."""
    mortal_server.start()
    await mortal_server.make_stream(duplicate_window=_WINDOW)
    event = create_task_event("t", "completed", source=source)

    async def purge(url: str) -> None:
        async with await nats.connect(url) as client:
            await client.jetstream().purge_stream("CREW_EVENTS")

    await _publish_with_lost_answer(mortal_server.url, event, source, purge)

    assert await _times_stored(mortal_server.url, event) == 1


async def test_in_a_stream_that_was_made_anew_it_is_looked_for_from_its_beginning(
    mortal_server: NatsServer, source: str
) -> None:
    mortal_server.start()
    await mortal_server.make_stream(duplicate_window=_WINDOW)
    event = create_task_event("t", "completed", source=source)

    async def make_anew(url: str) -> None:
        async with await nats.connect(url) as client:
            config = (await client.jetstream().stream_info("CREW_EVENTS")).config
            await client.jetstream().delete_stream("CREW_EVENTS")
            await client.jetstream().add_stream(config)
            await _put(client, Message.of(event))
            await asyncio.sleep(2 * _WINDOW)

    await _publish_with_lost_answer(mortal_server.url, event, source, make_anew)

    assert await _times_stored(mortal_server.url, event) == 1


async def test_who_gave_up_waiting_and_publishes_the_same_event_again(
    mortal_server: NatsServer, source: str
) -> None:
    mortal_server.start()
    await mortal_server.make_stream(duplicate_window=_WINDOW)
    event = create_task_event("t", "completed", source=source)
    async with proxied(mortal_server.url) as proxy, EventPublisher(proxy.url) as publisher:
        await publisher.publish(create_task_event("warm", "completed", source=source))
        proxy.mute()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await publisher.publish(event)
        await soon(lambda: _holds(mortal_server.url, event))
        await asyncio.sleep(2 * _WINDOW)
        proxy.cut()
        proxy.resume()
        async with asyncio.timeout(20):
            await publisher.publish(event)

    assert await _times_stored(mortal_server.url, event) == 1


async def test_what_a_worker_published_and_could_not_delete_the_next_one_finds(
    hire: Hire, mortal_server: NatsServer, source: str, tmp_path: Path
) -> None:
    """Killed between the acknowledgement and the deletion, after one batch or after many."""
    mortal_server.start()
    await mortal_server.make_stream(duplicate_window=_WINDOW)
    left = [Message.of(create_task_event(f"t{n}", "completed", source=source)) for n in range(1_000)]
    async with await nats.connect(mortal_server.url) as client:
        await _put(client, Message.of(create_task_event("other", "completed", source=source)))
        created = str((await client.jetstream().stream_info("CREW_EVENTS")).created)
        spool = Spool.fresh(tmp_path / "spool")
        spool.doubt.since = Position(created, 1)
        assert spool.append(left)
        spool.close()
        for one in left[:700]:
            await _put(client, one)
        await asyncio.sleep(2 * _WINDOW)

    _, courier = hire(mortal_server.url)
    await until(lambda: not list((tmp_path / "spool").glob("*.sqlite")))
    assert await asyncio.to_thread(courier.flush, 10)

    assert tasks(await everything(mortal_server.url, source)) == ["other", *(f"t{n}" for n in range(1_000))]


async def _put(client: Any, message: Message) -> None:
    await client.publish(message.subject, message.payload, headers={"Nats-Msg-Id": message.event_id})


def test_nothing_is_in_doubt_of_what_was_never_sent() -> None:
    doubt = Doubt()
    doubt.meet(Position("A", 5), Position("A", 9))

    assert (doubt.since, doubt.messages) == (Position("A", 9), 0)


def test_what_was_sent_lies_behind_what_was_acknowledged_before() -> None:
    doubt = Doubt(Position("A", 9))
    doubt.sent(3)
    doubt.meet(Position("A", 20), Position("A", 25))
    assert (doubt.since, doubt.messages) == (Position("A", 9), 3)

    doubt.settled(["a"], Position("A", 30), {"a": 11, "c": 14})
    assert (doubt.since, doubt.messages) == (Position("A", 11), 2), "c may not be left behind"

    doubt.settled(["b", "c"], Position("A", 31), {"c": 14})
    assert (doubt.since, doubt.messages) == (Position("A", 31), 0)


def test_a_search_over_one_link_says_nothing_over_another() -> None:
    """The stream may have lost its end between them."""
    base = Position("A", 9)
    search = Search(base, 3, frozenset({"a", "b"}), frozenset({"s"}), 3)

    assert search.serves(["a"], 3, base)
    assert not search.serves(["a", "c"], 3, base)
    assert not search.serves(["a"], 2, base)
    assert not search.serves(["a"], 3, Position(*base))


@pytest.mark.parametrize("base", [Position("B", 100), Position("A", 8)], ids=["another", "rolled back"])
def test_in_a_stream_that_is_not_what_it_was_it_may_be_anywhere(base: Position) -> None:
    doubt = Doubt(Position("A", 9), 1)
    doubt.meet(base, base)

    assert doubt.since == Position(base.created, 0)


def test_of_what_another_process_left_all_is_in_doubt_to_the_last() -> None:
    doubt = Doubt.inherited(UNKNOWN)
    doubt.meet(Position("A", 9), Position("A", 9))
    doubt.settled(["a"], Position("A", 10), {})

    assert (doubt.since, doubt.is_about_all) == (Position("A", 0), True)


def test_where_to_look_is_kept_with_what_waits(tmp_path: Path) -> None:
    """What is sent to a stream that is another one may come before what the file said."""
    spool = Spool.fresh(tmp_path)
    spool.doubt.since = Position("A", 9)
    assert spool.append(messages("a", "b"))
    spool.close()

    (spool,) = Spool.left_behind(tmp_path)
    assert spool.doubt.since == Position("A", 9)
    spool.doubt.meet(Position("B", 5), Position("B", 5))
    spool.keep_doubt()
    spool.close()
    (spool,) = Spool.left_behind(tmp_path)
    assert spool.doubt.since == Position("B", 0)

    spool.doubt.settled(["a"], Position("B", 7), {"a": 3})
    spool.remove(spool.first(1)[0])
    spool.close()
    (spool,) = Spool.left_behind(tmp_path)
    assert (spool.doubt.since, spool.first(9)[1]) == (Position("B", 3), messages("b"))
    spool.close()
