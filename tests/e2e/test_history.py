"""Looking back beyond the memory of the bridge: everything that the stream has comes, once and in order."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js.client import JetStreamContext
from websockets.exceptions import InvalidStatus

from tests.client import Client, Json, Listener
from tests.conftest import StartBridge
from tests.nats_server import NatsServer
from tests.waiting import soon
from tests.web.raw import SMALL, raw_client

SMALL_RING: dict[str, Any] = {"ring_bytes": 40_000, "history_chunk_bytes": 20_000}
"""The ring holds about 60 of the events below, a read about 60, too."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server for one test: its stream is what the test says."""
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def nats_url(server: NatsServer) -> str:
    """Where it is."""
    return server.url


@pytest.fixture
async def jetstream(nats_url: str) -> AsyncIterator[JetStreamContext]:
    """Plain nats-py, to publish and to take away."""
    client = await nats.connect(nats_url, max_reconnect_attempts=-1)
    yield client.jetstream()
    await client.close()


async def publish(jetstream: JetStreamContext, count: int, *, first: int = 1, **fields: str) -> None:
    """Numbered events, of executions e0 to e3 in turn; every fifth on a bare subject."""
    for number in range(first, first + count):
        execution = f"e{number % 4}"
        subject = f"task.completed.c1.{execution}" if number % 5 else "task.completed"
        body = {"task_id": f"t{number}", "execution_id": execution, "data": {"result": "x" * 200}} | fields
        await jetstream.publish(subject, json.dumps(body).encode())


async def stored(bridge: Client, count: int) -> None:
    """The bridge has taken ``count`` events."""

    async def look() -> bool:
        return bool((await bridge.get("/readyz"))[1]["head"] >= count)

    await soon(look)


def numbers(events: list[Json]) -> list[int]:
    return [int(event["task_id"].removeprefix("t")) for event in events]


async def metric(bridge: Client, name: str) -> float:
    _, text = await bridge.get("/metrics")
    return sum(
        float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"crew_bridge_{name}")
    )


async def test_everything_that_is_kept_comes_though_the_ring_holds_little(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        await publish(jetstream, 500)
        await stored(bridge, 500)
        async with bridge.connect("global", since=0) as everything:
            assert everything.first["recovery"]["recovered"]
            assert numbers(await everything.events(500)) == list(range(1, 501))
            await publish(jetstream, 3, first=501)
            assert numbers(await everything.events(3)) == [501, 502, 503]
            assert await everything.nothing_more()
        assert await metric(bridge, "gaps_total") == 0
        assert await metric(bridge, "history_failures_total") == 0


async def test_one_execution_comes_with_its_events_on_bare_subjects(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        await publish(jetstream, 400)
        await stored(bridge, 400)
        async with bridge.connect("executions/e1", since=0) as one:
            assert numbers(await one.events(100)) == list(range(1, 401, 4))
            assert await one.nothing_more()


async def test_a_restarted_bridge_goes_on_from_a_cursor_that_is_far_behind(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge, bridge.connect("global") as before:
        await publish(jetstream, 10)
        last = (await before.events(10))[-1]["position"]
    await publish(jetstream, 400, first=11)
    async with (
        start_bridge(**SMALL_RING) as bridge,
        bridge.connect("global", since=last) as after,
    ):
        recovery = after.first["recovery"]
        assert (recovery["recovered"], recovery["from"], recovery["to"]) == (True, 11, 410)
        assert numbers(await after.events(400)) == list(range(11, 411))
        assert await after.nothing_more()


async def test_many_browsers_that_ask_for_the_same_cost_the_reads_of_one(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        await publish(jetstream, 400)
        await stored(bridge, 400)

        async def watch() -> list[int]:
            async with bridge.connect("executions/e2", since=0) as one:
                return numbers(await one.events(100))

        assert await watch() == list(range(2, 401, 4))
        alone = await metric(bridge, 'history_requests_total{by="read"}')
        async with asyncio.TaskGroup() as tasks:
            watching = [tasks.create_task(watch()) for _ in range(100)]
        assert all(task.result() == list(range(2, 401, 4)) for task in watching)
        assert await metric(bridge, 'history_requests_total{by="read"}') == alone
        assert await metric(bridge, 'history_requests_total{by="shared"}') >= 100


async def test_retention_during_a_disconnect_is_one_gap_with_exact_bounds(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        async with bridge.connect("global") as before:
            await publish(jetstream, 10)
            last = (await before.events(10))[-1]["position"]
        await publish(jetstream, 300, first=11)
        await stored(bridge, 310)
        await jetstream.purge_stream("CREW_EVENTS", seq=101)
        async with bridge.connect("global", since=last) as after:
            gap = await after.message()
            assert gap == {"type": "gap", "from": 11, "to": 100, "reason": "too_old"}
            assert numbers(await after.events(210)) == list(range(101, 311))
            assert await after.nothing_more()
        assert await metric(bridge, "gaps_total") == 1


async def test_what_a_purge_took_is_a_gap_and_what_memory_has_still_comes(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        await publish(jetstream, 200)
        await stored(bridge, 200)
        floor = int(await metric(bridge, "log_floor"))
        assert 0 < floor < 200
        await jetstream.purge_stream("CREW_EVENTS")
        epoch = (await bridge.get("/readyz"))[1]["epoch"]
        async with bridge.connect("global", since=5, epoch=epoch) as after:
            assert await after.message() == {"type": "gap", "from": 6, "to": floor, "reason": "too_old"}
            assert numbers(await after.events(200 - floor)) == list(range(floor + 1, 201))
            assert await after.nothing_more()


async def test_a_later_subscription_looks_back_beyond_the_ring_for_what_it_adds(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        await publish(jetstream, 400)
        await stored(bridge, 400)
        async with bridge.connect("executions/e1", since=0) as listener:
            assert numbers(await listener.events(100)) == list(range(1, 401, 4))
            for name, remainders in (("execution_e2", [2]), ("global", [0, 3])):
                said = await listener.ask({"action": "subscribe", "subscriptions": [name], "since": 0})
                assert said["recovery"]["recovered"]
                expected = [number for number in range(1, 401) if number % 4 in remainders]
                assert numbers(await listener.events(len(expected))) == expected
            assert await listener.nothing_more()


async def test_a_filter_and_events_that_are_addressed_to_one_client_hold_in_the_past_too(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        await publish(jetstream, 40)
        await publish(jetstream, 3, first=41, client_id="me")
        await publish(jetstream, 3, first=44, client_id="other")
        await publish(jetstream, 1, first=47, priority="critical")
        await publish(jetstream, 300, first=48)
        await stored(bridge, 347)
        async with bridge.connect("crews/none", since=0, client_id="me") as mine:
            assert numbers(await mine.events(3)) == [41, 42, 43]
            assert await mine.nothing_more()
        async with bridge.connect("global", since=0, min_priority="high") as urgent:
            assert numbers(await urgent.events(1)) == [47]
            assert await urgent.nothing_more()


async def test_a_slow_client_falls_out_of_the_ring_and_loses_nothing(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    count = 3_000
    async with (
        start_bridge(**SMALL_RING, buffer_bytes=8 * 1024) as bridge,
        raw_client(bridge, "global", receive_buffer=SMALL) as slow,
    ):
        await publish(jetstream, count)
        await stored(bridge, count)
        assert await metric(bridge, "fell_behind_total") >= 1
        got = [await slow.message() for _ in range(count)]
        assert numbers(got) == list(range(1, count + 1))
        assert await metric(bridge, "gaps_total") == 0
        assert await metric(bridge, 'history_requests_total{by="read"}') > 0


async def test_a_stream_that_is_made_anew_ends_who_reads_it(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    small = SMALL_RING | {"buffer_bytes": 8 * 1024, "feed_heartbeat_seconds": 0.2}
    async with start_bridge(**small) as bridge:
        await publish(jetstream, 2_000)
        await stored(bridge, 2_000)
        async with raw_client(bridge, "global", receive_buffer=SMALL, since=0) as reader:
            epoch = reader.first["epoch"]
            assert (await reader.message())["seq"] == 1
            await jetstream.delete_stream("CREW_EVENTS")
            code, _ = await reader.closing()
        assert code == 4001
        await _renewed(bridge, epoch)
        await publish(jetstream, 5)
        async with bridge.connect("global", since=100, epoch=epoch) as after:
            assert after.first["recovery"]["reason"] == "stream_reset"
            assert numbers(await after.events(5)) == [1, 2, 3, 4, 5]


async def test_who_comes_while_the_stream_is_made_anew_begins_with_the_new_one(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING, feed_heartbeat_seconds=0.2) as bridge:
        await publish(jetstream, 200)
        await stored(bridge, 200)
        epoch = (await bridge.get("/readyz"))[1]["epoch"]
        await jetstream.delete_stream("CREW_EVENTS")
        async with _let_in(bridge, 20) as reader:
            await _renewed(bridge, epoch)
            await publish(jetstream, 5)
            assert not reader.first["epoch"].startswith(epoch)
            assert numbers(await reader.events(5)) == [1, 2, 3, 4, 5]


@asynccontextmanager
async def _let_in(bridge: Client, most: int) -> AsyncIterator[Listener]:
    """A connection that begins with everything, tried ``most`` times, as the bridge asks for."""
    async with AsyncExitStack() as stack:
        for number in range(1, most + 1):
            try:
                listener = await stack.enter_async_context(bridge.connect("global", since=0))
                break
            except InvalidStatus as refused:
                if number == most:
                    raise
                await asyncio.sleep(int(refused.response.headers["Retry-After"]))
        yield listener


async def _renewed(bridge: Client, epoch: str) -> None:
    async def look() -> bool:
        status, body = await bridge.get("/readyz")
        return status == 200 and bool(body["epoch"] != epoch)

    await soon(look)


async def test_the_answer_is_exact_where_the_past_that_counts_is_read_at_once(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(ring_bytes=40_000) as bridge:
        await publish(jetstream, 300)
        await stored(bridge, 300)
        async with bridge.connect("executions/e1", since=0) as one:
            assert one.first["recovery"] == {
                "recovered": True,
                "reason": "replayed",
                "from": 1,
                "to": 300,
                "count": 75,
            }
            said = await one.ask({"action": "subscribe", "subscriptions": ["execution_e2"], "since": 99})
            assert said["recovery"]["count"] == 50
            await one.events(50)
        await jetstream.purge_stream("CREW_EVENTS", seq=101)
        epoch = one.first["epoch"]
        async with bridge.connect("executions/e3", since=50, epoch=epoch) as late:
            assert late.first["recovery"] == {
                "recovered": False,
                "reason": "too_old",
                "from": 51,
                "to": 300,
                "count": 50,
            }
            assert await late.message() == {"type": "gap", "from": 51, "to": 100, "reason": "too_old"}
            await late.events(50)
        async with bridge.connect("executions/none", since=0) as nothing:
            assert nothing.first["recovery"]["reason"] == "nothing_missed"
            assert nothing.first["recovery"]["from"] == 101


async def test_the_last_so_many_events_come_from_the_ring_and_from_the_stream(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        await publish(jetstream, 3, priority="high")
        await publish(jetstream, 2_000, first=4)
        await publish(jetstream, 1, first=2_004, priority="high")
        await stored(bridge, 2_004)
        cases: list[tuple[str, dict[str, object], list[int]]] = [
            ("global", {"last": 3}, [2_002, 2_003, 2_004]),
            ("global", {"last": 700}, list(range(1_305, 2_005))),
            ("executions/e1", {"last": 2}, [1_997, 2_001]),
            ("executions/e1", {"last": 300}, list(range(805, 2_005, 4))),
            ("executions/e1", {"last": 5_000}, list(range(1, 2_005, 4))),
            ("global", {"last": 2, "min_priority": "high"}, [3, 2_004]),
            ("global", {"last": 9, "min_priority": "high"}, [1, 2, 3, 2_004]),
            ("executions/none", {"last": 9}, []),
        ]
        for endpoint, query, expected in cases:
            async with bridge.connect(endpoint, **query) as listener:
                assert listener.first["recovery"]["recovered"]
                assert numbers(await listener.events(len(expected))) == expected
                assert await listener.nothing_more()
        async with bridge.connect("custom") as custom:
            said = await custom.ask({"action": "subscribe", "subscriptions": ["execution_e3"], "last": 200})
            assert said["recovery"]["recovered"]
            assert numbers(await custom.events(200)) == list(range(1_207, 2_005, 4))
            assert await custom.nothing_more()


@pytest.mark.parametrize(
    "place",
    [
        {"last": 3},
        {"since": 0},
        {"since_time": "0001-01-01T00:00:00+23:00"},
        {"since_time": "9999-12-31T23:59:59-23:00"},
    ],
)
async def test_a_stream_that_never_held_anything_has_nothing_to_look_back_to(
    start_bridge: StartBridge, jetstream: JetStreamContext, place: dict[str, object]
) -> None:
    async with start_bridge() as bridge, bridge.connect("global", **place) as listener:
        assert listener.first["recovery"]["reason"] == "nothing_missed"
        await publish(jetstream, 2)
        assert numbers(await listener.events(2)) == [1, 2]


async def test_a_moment_far_away_is_before_or_after_everything(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge, bridge.connect("custom") as custom:
        await publish(jetstream, 200)
        await stored(bridge, 200)
        async with bridge.connect("global", since_time="1600-01-01T00:00:00Z") as listener:
            assert numbers(await listener.events(200)) == list(range(1, 201))
        command = {
            "action": "subscribe",
            "subscriptions": ["global"],
            "since_time": "9999-12-31T23:59:59-23:00",
        }
        assert (await custom.ask(command))["recovery"]["reason"] == "nothing_missed"


async def test_what_was_stored_since_a_moment_comes(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        await publish(jetstream, 300)
        await stored(bridge, 300)
        moment = (await jetstream.get_msg("CREW_EVENTS", 101)).time
        assert moment is not None
        before = moment - timedelta(hours=1)
        for time, first in ((moment, 101), (before, 1), (moment + timedelta(hours=1), 301)):
            async with bridge.connect("global", since_time=time.isoformat()) as listener:
                assert listener.first["recovery"]["from"] == first
                assert numbers(await listener.events(301 - first)) == list(range(first, 301))
                assert await listener.nothing_more()
        async with bridge.connect("custom") as custom:
            command = {"subscriptions": ["execution_e0"], "since_time": moment.isoformat()}
            said = await custom.ask({"action": "subscribe"} | command)
            assert said["recovery"]["recovered"]
            assert numbers(await custom.events(50)) == list(range(104, 301, 4))


async def test_a_browser_may_be_ahead_of_the_bridge_that_it_comes_to(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    """It was told more by another bridge."""
    async with start_bridge(**SMALL_RING) as bridge:
        await publish(jetstream, 20)
        await stored(bridge, 20)
        head = 20
        for _ in range(20):
            await publish(jetstream, 1, first=head + 1)
            async with bridge.connect("global", since=head + 1) as listener:
                assert listener.first["recovery"]["reason"] == "unverified"
                assert listener.first["cursor"] == head + 1
            head += 1
        async with bridge.connect("global", since=head + 1) as listener:
            assert listener.first["recovery"]["reason"] == "unknown_cursor"


async def test_more_than_may_be_asked_for_is_cut_with_an_announced_gap(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING, replay_max_events=90) as bridge:
        await publish(jetstream, 300)
        await stored(bridge, 300)
        async with bridge.connect("global", since=10) as listener:
            recovery = listener.first["recovery"]
            assert (recovery["recovered"], recovery["reason"]) == (False, "too_many")
            assert (recovery["from"], recovery["count"]) == (211, 90)
            assert await listener.message() == {"type": "gap", "from": 11, "to": 210, "reason": "too_many"}
            assert numbers(await listener.events(90)) == list(range(211, 301))
        async with bridge.connect("custom") as custom:
            said = await custom.ask({"action": "subscribe", "subscriptions": ["global"], "since": 250})
            assert said["recovery"]["reason"] == "unverified"
            assert numbers(await custom.events(50)) == list(range(251, 301))


async def test_who_looks_back_while_the_server_is_away_comes_again_and_loses_nothing(
    start_bridge: StartBridge, jetstream: JetStreamContext, server: NatsServer
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        await publish(jetstream, 300)
        await stored(bridge, 300)
        server.kill()
        with pytest.raises(InvalidStatus):
            async with _let_in(bridge, 1):
                pass
        server.start()
        async with _let_in(bridge, 20) as reader:
            assert numbers(await reader.events(300)) == list(range(1, 301))
            assert await reader.nothing_more()
        assert await metric(bridge, "gaps_total") == 0


async def test_a_restarted_bridge_knows_what_was_addressed_to_a_client_before_it_began(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge():
        pass
    await publish(jetstream, 40)
    await publish(jetstream, 3, first=41, client_id="me")
    await publish(jetstream, 300, first=44)
    async with (
        start_bridge(**SMALL_RING) as bridge,
        bridge.connect("crews/none", since=0, client_id="me") as mine,
    ):
        assert numbers(await mine.events(3)) == [41, 42, 43]
        assert await mine.nothing_more()


async def test_where_only_the_stream_knows_the_place_and_is_silent_a_client_is_told_to_come_again(
    start_bridge: StartBridge, jetstream: JetStreamContext, server: NatsServer
) -> None:
    async with start_bridge(**SMALL_RING) as bridge, bridge.connect("custom") as custom:
        await publish(jetstream, 300)
        await stored(bridge, 300)
        server.kill()
        places = {"last": 250}, {"since_time": "2026-11-24T12:00:00Z"}, {"since": 999}
        for place in places:
            with pytest.raises(InvalidStatus) as refused:
                async with bridge.connect("global", **place):
                    pass
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["Retry-After"]
            said = await custom.ask({"action": "subscribe", "subscriptions": ["global"]} | place)
            assert said["code"] == "unavailable"
        async with bridge.connect("global", last=5) as listener:
            assert numbers(await listener.events(5)) == list(range(296, 301))


async def test_what_expires_while_a_browser_is_away_is_no_gap(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        async with bridge.connect("global") as before:
            await publish(jetstream, 10)
            last = (await before.events(10))[-1]["position"]
        body = json.dumps({"task_id": "t0", "data": {"progress": 0.5, "message": "x" * 200}}).encode()
        for _ in range(200):
            await jetstream.publish("task.progress", body, msg_ttl=1)
        await jetstream.purge_stream("CREW_EVENTS", seq=11)
        await publish(jetstream, 100, first=11)

        async def is_gone() -> bool:
            return (await jetstream.stream_info("CREW_EVENTS")).state.first_seq == 211

        await soon(is_gone)
        async with bridge.connect("global", since=last) as after:
            assert after.first["recovery"]["recovered"]
            assert numbers(await after.events(100)) == list(range(11, 111))
            assert await after.nothing_more()
        assert await metric(bridge, "gaps_total") == 0


async def test_a_browser_that_moves_between_bridges_gets_everything_once_and_in_order(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    count, got = 1_000, list[Json]()
    async with (
        start_bridge(**SMALL_RING, instance="one") as one,
        start_bridge(**SMALL_RING, instance="two") as two,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(publish(jetstream, count))
        cursor: dict[str, object] = {"since": 0}
        for bridge in cycle((one, two)):
            async with bridge.connect("executions/e1", **cursor) as listener:
                assert listener.first["recovery"]["recovered"]
                got += await listener.events(min(5, count // 4 - len(got)))
            if len(got) == count // 4:
                break
            cursor = {"since": got[-1]["position"]}
    assert numbers(got) == list(range(1, count + 1, 4))


async def test_what_was_read_for_another_is_not_taken_for_what_the_stream_has_now(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        await publish(jetstream, 500)
        await stored(bridge, 500)
        async with bridge.connect("global", since=0) as one:
            position = (await one.events(500))[9]["position"]
        await jetstream.purge_stream("CREW_EVENTS", seq=300)
        await asyncio.sleep(1.2)
        async with bridge.connect("global", since=position) as other:
            assert other.first["recovery"]["reason"] == "too_old"
            assert not other.first["recovery"]["recovered"]
            gap = await other.message()
            assert (gap["type"], gap["from"], gap["to"]) == ("gap", 11, 299)
            assert numbers(await other.events(201)) == list(range(300, 501))
            assert await other.nothing_more()
