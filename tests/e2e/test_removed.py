"""What was taken from the middle of the stream while a browser was away is a gap; what expired is none."""

import asyncio
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import nats
import pytest
from nats.js.client import JetStreamContext

from tests.client import Client, Json, Listener
from tests.conftest import StartBridge
from tests.e2e.test_history import SMALL_RING, jetstream, metric, nats_url, numbers, publish, server, stored
from tests.waiting import soon
from tests.web.raw import SMALL, raw_client

__all__ = ["jetstream", "nats_url", "server"]

NAME = "CREW_EVENTS"
E1, E2, ALL = "executions/e1", "executions/e2", "global"
SEQS = {E1: range(1, 401, 4), E2: range(2, 401, 4), ALL: range(1, 401)}
"""Which of 400 events an endpoint is given."""
Place = dict[str, Any]


async def _seen(bridge: Client, jetstream: JetStreamContext) -> Place:
    """Where a browser stands that has seen the first ten events of 400."""
    async with bridge.connect(ALL) as before:
        await publish(jetstream, 10)
        last = (await before.events(10))[-1]["position"]
    await publish(jetstream, 390, first=11)
    await stored(bridge, 400)
    return {"since": last}


async def _gone(bridge: Client) -> set[int]:
    """What neither the stream nor the memory of the bridge has."""
    client = await nats.connect(bridge.nats_url)
    answer = await client.request(f"$JS.API.STREAM.INFO.{NAME}", b'{"deleted_details": true}')
    await client.close()
    state, floor = json.loads(answer.data)["state"], int(await metric(bridge, "log_floor"))
    return {seq for seq in [*range(1, state["first_seq"]), *state.get("deleted", ())] if seq <= floor}


async def _expect(listener: Listener, wanted: Iterable[int], gone: set[int]) -> list[tuple[int, int]]:
    """All of ``wanted`` comes or is in a gap, in order, and nothing else does; the gaps."""
    told: list[Json] = []
    covered: list[int] = []
    for seq in wanted:
        if seq in covered:
            continue
        told.append(message := await listener.message())
        if seq in gone:
            assert message["type"] == "gap"
            covered += range(message["from"], message["to"] + 1)
            assert seq in covered
        else:
            assert message["seq"] == seq
    assert await listener.nothing_more()
    assert gone.issuperset(set(covered) & set(wanted))
    return [(m["from"], m["to"]) for m in told if m.get("type") == "gap"]


def _later(endpoint: str) -> list[int]:
    return [seq for seq in SEQS[endpoint] if seq > 10]


async def test_single_messages_that_were_deleted_are_gaps_at_their_places(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        place = await _seen(bridge, jetstream)
        for seq in (20, 21, 22, 40, 200):
            await jetstream.delete_msg(NAME, seq)
        async with bridge.connect(ALL, **place) as after:
            recovery = after.first["recovery"]
            assert (recovery["recovered"], recovery["reason"], recovery["from"]) == (False, "too_old", 11)
            gaps = await _expect(after, _later(ALL), {20, 21, 22, 40, 200})
            assert gaps == [(20, 22), (40, 40), (200, 200)]
        assert await metric(bridge, 'gaps_total{reason="too_old"}') == 3


@pytest.mark.parametrize("purge", [{}, {"keep": 60}, {"seq": 100}], ids=["all", "keep", "seq"])
async def test_a_purge_by_subject_is_told_to_whom_it_concerns_and_to_nobody_else(
    start_bridge: StartBridge, jetstream: JetStreamContext, purge: dict[str, int]
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        place = await _seen(bridge, jetstream)
        await jetstream.purge_stream(NAME, subject="task.completed.c1.e1", **purge)
        gone = await _gone(bridge)
        assert len(gone) > 15
        async with bridge.connect(E2, **place) as other:
            assert other.first["recovery"]["recovered"]
            assert await _expect(other, _later(E2), set()) == []
        for endpoint in (E1, ALL):
            async with bridge.connect(endpoint, **place) as one:
                assert one.first["recovery"]["reason"] == "too_old"
                assert await _expect(one, _later(endpoint), gone)


async def test_who_was_not_there_is_given_what_there_is_without_a_gap(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    began = datetime.now(UTC).isoformat()
    async with start_bridge(**SMALL_RING) as bridge:
        await _seen(bridge, jetstream)
        await jetstream.purge_stream(NAME, subject="task.completed.c1.e1")
        gone = await _gone(bridge)
        left = [seq for seq in SEQS[ALL] if seq not in gone]
        for start in ({"since": 0}, {"last": 1000}, {"since_time": began}):
            async with bridge.connect(ALL, **start) as late:
                assert late.first["recovery"]["recovered"]
                assert await _expect(late, left, set()) == []
        assert await metric(bridge, "gaps_total") == 0


async def test_a_later_subscription_is_told_of_its_own_gaps_only(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        place = await _seen(bridge, jetstream)
        await jetstream.purge_stream(NAME, subject="task.completed.c1.e2")
        gone = await _gone(bridge)
        async with bridge.connect(E1, **place) as listener:
            assert listener.first["recovery"]["recovered"]
            assert await _expect(listener, _later(E1), set()) == []
            said = await listener.ask({"action": "subscribe", "subscriptions": ["execution_e2"]} | place)
            assert said["recovery"]["reason"] == "too_old"
            assert await _expect(listener, _later(E2), gone)


async def test_a_slow_client_is_told_of_what_was_removed_before_it_came_to_it(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with (
        start_bridge(**SMALL_RING, buffer_bytes=8 * 1024) as bridge,
        raw_client(bridge, ALL, receive_buffer=SMALL) as slow,
    ):
        await publish(jetstream, 3_000)
        await stored(bridge, 3_000)
        await jetstream.delete_msg(NAME, 2_900 - 400)
        told = [await slow.message() for _ in range(3_000)]
        assert [m["from"] for m in told if m.get("type") == "gap"] == [2_500]
        assert await metric(bridge, "gaps_total") == 1


async def test_a_publisher_that_replaces_what_it_said_leaves_a_gap(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        config = (await jetstream.stream_info(NAME)).config
        await jetstream.update_stream(config, allow_rollup_hdrs=True)
        place = await _seen(bridge, jetstream)
        body = json.dumps({"task_id": "t1", "data": {"result": "all"}}).encode()
        await jetstream.publish("task.completed.c1.e1", body, headers={"Nats-Rollup": "sub"})
        await stored(bridge, 401)
        gone = await _gone(bridge)
        async with bridge.connect(E1, **place) as one:
            assert one.first["recovery"]["reason"] == "too_old"
            assert await _expect(one, [*_later(E1), 401], gone)


async def test_a_bound_by_subject_that_is_set_later_leaves_gaps(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        place = await _seen(bridge, jetstream)
        config = (await jetstream.stream_info(NAME)).config
        await jetstream.update_stream(config, max_msgs_per_subject=50)
        await publish(jetstream, 4, first=401)
        await stored(bridge, 404)
        gone = await _gone(bridge)
        assert len(gone) > 15
        async with bridge.connect(ALL, **place) as one:
            assert one.first["recovery"]["reason"] == "too_old"
            assert await _expect(one, [*_later(ALL), *range(401, 405)], gone)


async def test_what_retention_took_behind_a_message_that_stays_for_ever_is_a_gap(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        body = json.dumps({"task_id": "t0", "data": {"result": "first"}}).encode()
        headers = {"Nats-TTL": "never"}
        await jetstream.publish("task.completed.c1.e0", body, headers=headers)
        async with bridge.connect(ALL, since=0) as before:
            last = (await before.events(1))[-1]["position"]
        await publish(jetstream, 399, first=2)
        await stored(bridge, 400)
        config = (await jetstream.stream_info(NAME)).config
        await jetstream.update_stream(config, max_age=1, duplicate_window=1)

        async def is_gone() -> bool:
            return (await jetstream.stream_info(NAME)).state.messages == 1

        await soon(is_gone)
        floor = int(await metric(bridge, "log_floor"))
        async with bridge.connect(ALL, since=last) as after:
            assert after.first["recovery"]["reason"] == "too_old"
            assert await _expect(after, range(2, 401), set(range(2, floor + 1))) == [(2, floor)]


async def test_what_expired_by_its_publishers_own_wish_is_no_gap_whatever_its_type(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    async with start_bridge(**SMALL_RING) as bridge:
        async with bridge.connect(ALL) as before:
            await publish(jetstream, 10)
            last = (await before.events(10))[-1]["position"]
        body = json.dumps({"task_id": "t0", "data": {"result": "x" * 200}}).encode()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(200):
                tasks.create_task(jetstream.publish("task.completed.c1.e1", body, msg_ttl=1))
        await publish(jetstream, 100, first=11)

        async def is_gone() -> bool:
            return (await jetstream.stream_info(NAME)).state.messages == 110

        await soon(is_gone)
        async with bridge.connect(ALL, since=last) as after:
            assert after.first["recovery"]["recovered"]
            assert numbers(await after.events(100)) == list(range(11, 111))
            assert await after.nothing_more()
        assert await metric(bridge, "gaps_total") == 0


async def test_what_was_removed_before_a_bridge_started_leaves_no_trace(
    start_bridge: StartBridge, jetstream: JetStreamContext
) -> None:
    """The stream does not say what was in its holes: events like these, or chunks that expired."""
    async with start_bridge(**SMALL_RING) as bridge:
        place = await _seen(bridge, jetstream)
    await jetstream.purge_stream(NAME, subject="task.completed.c1.e1")
    async with start_bridge(**SMALL_RING) as bridge, bridge.connect(E1, **place) as one:
        assert one.first["recovery"]["recovered"]
        left = [seq for seq in _later(E1) if seq % 5 == 0]
        assert await _expect(one, left, set()) == []
