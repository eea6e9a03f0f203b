"""The feed brings every message of the stream, once and in order, whatever breaks."""

import asyncio
import socket
from datetime import UTC, datetime
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig, StreamInfo, StreamState
from structlog.testing import capture_logs

from bridge.broker.api import Look, ask
from bridge.broker.connection import ConnectionEvents
from bridge.broker.feed import Feed
from bridge.broker.history import History
from bridge.broker.stream import ensure_stream, epoch_of
from contracts.codec import StoredMessage
from contracts.subjects import Pattern
from tests.broker.sink import NAME, Notes, Reading, fill, reading, settings
from tests.nats_server import NatsServer
from tests.waiting import until


@pytest.fixture
async def stream(client: Client) -> Client:
    """The client, once the stream is there."""
    await ensure_stream(client, settings())
    return client


async def has(read: Reading, count: int) -> None:
    """Wait for ``count`` messages, and see that they are the stream's, from 1."""
    await until(lambda: len(read.notes.seqs) >= count or None)
    assert read.notes.seqs == list(range(1, count + 1))
    assert [int(payload) for payload in read.notes.payloads] == read.notes.seqs
    assert read.notes.gaps == []
    assert len(read.notes.begins) == 1


async def the_consumer(client: Client, but: str = "") -> str:
    """The name of the feed's consumer, other than ``but``."""
    async with asyncio.timeout(20):
        while True:
            names = {info.name for info in await client.jetstream().consumers_info(NAME)} - {but}
            if names:
                return names.pop()


async def test_what_the_stream_held_comes_first_and_then_what_comes(
    server: NatsServer, stream: Client
) -> None:
    await fill(stream, 20)
    async with reading(server.url) as read:
        await until(lambda: read.feed.is_caught_up)
        await has(read, 20)
        assert read.feed.pending == 0

        await fill(stream, 5, start=21)
        await has(read, 25)
    assert not read.feed.resets


async def test_an_empty_stream_is_made_and_caught_up_with(server: NatsServer, client: Client) -> None:
    async with reading(server.url) as read:
        await until(lambda: read.feed.is_caught_up)
        assert read.notes.begins[0][1] == 0
        await fill(client, 3)
        await has(read, 3)


async def test_the_end_that_a_stream_had_at_the_beginning_is_told_to_the_nanosecond(
    server: NatsServer, stream: Client
) -> None:
    await fill(stream, 3)
    stored_ns = await History(stream, NAME, max_bytes=1_000_000).stored_ns(3)
    async with reading(server.url) as read:
        await until(lambda: read.feed.is_caught_up)
    (end, looked_ns), *_ = read.notes.ends
    assert end == (3, stored_ns)
    assert looked_ns > end.stored_ns

    await stream.jetstream().purge_stream(NAME)
    async with reading(server.url) as read:
        await until(lambda: read.feed.is_caught_up)
    (end, looked_ns), *_ = read.notes.ends
    assert end.seq == 3
    assert stored_ns is not None
    assert stored_ns <= end.stored_ns <= looked_ns


async def test_a_long_stream_is_read_from_about_where_the_ring_begins(
    server: NatsServer, stream: Client
) -> None:
    await fill(stream, 1000, size=1000)
    async with reading(server.url, ring_bytes=100_000) as read:
        await until(lambda: read.feed.is_caught_up)

    floor = read.notes.begins[0][1]
    assert 880 <= floor <= 950
    assert read.notes.seqs == list(range(floor + 1, 1001))
    assert read.notes.gaps == []


async def test_a_stream_whose_beginning_is_gone_is_read_from_its_first_message(
    server: NatsServer, stream: Client
) -> None:
    await fill(stream, 30)
    await stream.jetstream().purge_stream(NAME, seq=11)
    async with reading(server.url) as read:
        await until(lambda: read.feed.is_caught_up)

    assert read.notes.begins[0][1] == 10
    assert read.notes.seqs == list(range(11, 31))
    assert read.notes.gaps == []


async def test_a_purged_empty_stream_is_caught_up_with_at_its_end(server: NatsServer, stream: Client) -> None:
    await fill(stream, 30)
    await stream.jetstream().purge_stream(NAME)
    async with reading(server.url) as read:
        await until(lambda: read.feed.is_caught_up)
        assert read.notes.begins[0][1] == 30
        await fill(stream, 1, start=31)
        await until(lambda: read.notes.seqs)
        assert read.notes.seqs == [31]


async def test_a_deleted_consumer_is_missed_and_made_again(server: NatsServer, stream: Client) -> None:
    async with reading(server.url, heartbeat=0.2) as read:
        await fill(stream, 10)
        await has(read, 10)
        await stream.jetstream().delete_consumer(NAME, await the_consumer(stream))
        await fill(stream, 10, start=11)
        await has(read, 20)
    assert read.feed.resets == {"silence": 1}


async def test_a_killed_server_that_comes_back_costs_nothing(server: NatsServer, stream: Client) -> None:
    async with reading(server.url) as read:
        await fill(stream, 10)
        await has(read, 10)
        server.kill()
        await until(lambda: read.events.disconnects)
        server.start()
        await until(lambda: read.events.reconnects)
        await until(lambda: stream.is_connected)
        await fill(stream, 10, start=11)
        await has(read, 20)
        await until(lambda: read.feed.resets["reconnect"])


async def test_a_reset_connection_costs_nothing(server: NatsServer, stream: Client) -> None:
    async with reading(server.url) as read:
        await fill(stream, 10)
        await has(read, 10)
        transport: Any = read.client._transport
        transport._io_writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        await fill(stream, 10, start=11)
        await has(read, 20)
        await until(lambda: read.feed.resets["reconnect"])
    assert read.feed.resets == {"reconnect": 1}
    assert read.events.reconnects == 1


async def test_a_hole_in_the_consumers_numbers_is_read_again(server: NatsServer, stream: Client) -> None:
    async with reading(server.url) as read:
        await fill(stream, 10)
        await has(read, 10)
        consumption = read.feed._consumption
        assert consumption
        consumption._last -= 1
        await fill(stream, 10, start=11)
        await has(read, 20)
    assert read.feed.resets == {"hole": 1}


async def test_a_heartbeat_tells_of_a_last_message_that_never_came(
    server: NatsServer, stream: Client
) -> None:
    async with reading(server.url, heartbeat=0.2) as read:
        await fill(stream, 10)
        await has(read, 10)
        consumption = read.feed._consumption
        assert consumption
        consumption._last -= 1
        await until(lambda: read.feed.resets["hole"])
        await fill(stream, 10, start=11)
        await has(read, 20)
    assert read.feed.resets == {"hole": 1}


async def test_what_was_purged_ahead_of_the_feed_is_a_gap_with_exact_bounds(
    server: NatsServer, stream: Client
) -> None:
    async with reading(server.url, heartbeat=0.5) as read:
        await fill(stream, 10)
        await has(read, 10)
        await stream.jetstream().delete_consumer(NAME, await the_consumer(stream))
        await fill(stream, 20, start=11)
        await stream.jetstream().purge_stream(NAME, seq=26)
        await until(lambda: len(read.notes.seqs) == 15)
    assert read.notes.seqs == [*range(1, 11), *range(26, 31)]
    assert read.notes.gaps == [(11, 25, "retention")]
    assert len(read.notes.begins) == 1


async def test_a_stream_made_anew_is_begun_anew(server: NatsServer, stream: Client) -> None:
    async with reading(server.url, heartbeat=0.2) as read:
        await fill(stream, 10)
        await has(read, 10)
        await stream.jetstream().delete_stream(NAME)
        await until(lambda: len(read.notes.begins) == 2)
        await until(lambda: read.feed.is_caught_up)
        await fill(stream, 3)
        await until(lambda: len(read.notes.seqs) == 13)

    (first, _), (second, floor) = read.notes.begins
    assert first != second
    assert floor == 0
    assert read.notes.seqs == [*range(1, 11), 1, 2, 3]
    assert read.notes.gaps == []


async def test_a_stream_deleted_and_made_again_by_an_operator_is_begun_anew(
    server: NatsServer, stream: Client
) -> None:
    async with reading(server.url, heartbeat=0.2) as read:
        await fill(stream, 10)
        await has(read, 10)
        await stream.jetstream().delete_stream(NAME)
        await ensure_stream(stream, settings())
        await fill(stream, 12)
        await until(lambda: len(read.notes.seqs) == 22)
    assert len(read.notes.begins) == 2
    assert read.notes.seqs == [*range(1, 11), *range(1, 13)]


async def test_messages_dropped_on_the_way_are_read_again(server: NatsServer, stream: Client) -> None:
    """While the feed asks about a hole, nothing is taken, and more comes than may wait."""
    await fill(stream, 3000)
    await stream.jetstream().delete_msg(NAME, 2)
    async with reading(server.url, pending_messages=50) as read:
        await until(lambda: len(read.notes.seqs) >= 2999 or None)
        await until(lambda: read.feed.is_caught_up)
    assert read.notes.seqs == [1, *range(3, 3001)]
    assert [int(payload) for payload in read.notes.payloads] == read.notes.seqs
    assert read.feed.resets["overflow"] >= 1
    assert set(read.feed.resets) == {"overflow"}


async def test_idle_heartbeats_keep_a_quiet_feed_as_it_is(server: NatsServer, stream: Client) -> None:
    async with reading(server.url, heartbeat=0.1) as read:
        await fill(stream, 1)
        await has(read, 1)
        first = read.feed._consumption
        assert first
        for _ in range(5):
            await until(lambda: not first.was_heard)
            await until(lambda: first.was_heard)
        assert read.feed._consumption is first
    assert not read.feed.resets


async def test_what_expires_before_it_comes_is_no_lag(server: NatsServer, stream: Client) -> None:
    async with reading(server.url, heartbeat=0.1) as read:
        await fill(stream, 1)
        await has(read, 1)
        read.feed.pending = 3  # as the last message that came had said

        await until(lambda: read.feed.pending == 0)
        assert read.feed.lag_seconds == 0


async def test_a_suspended_server_is_noticed_and_caught_up_with(server: NatsServer, stream: Client) -> None:
    async with reading(server.url, heartbeat=0.2) as read:
        await fill(stream, 10)
        await has(read, 10)
        server.suspend()
        try:
            await until(lambda: read.feed.resets["silence"])
            assert not read.feed.is_caught_up
            assert read.feed.lag_seconds > 0
        finally:
            server.resume()
        await until(lambda: read.feed.is_caught_up)
        assert read.feed.lag_seconds == 0
        await fill(stream, 10, start=11)
        await has(read, 20)


async def test_a_flood_is_taken_at_the_feeds_own_pace(server: NatsServer, stream: Client) -> None:
    count = 50_000
    async with reading(server.url, heartbeat=5.0) as read:
        await fill(stream, count)
        await has(read, count)
        await until(lambda: read.feed.is_caught_up and read.feed.pending == 0)
    assert not read.feed.resets


async def test_a_stream_that_fails_is_tried_again(server: NatsServer, client: Client) -> None:
    """Its subjects belong to another stream: an operator has to put that right, and can."""
    jetstream = client.jetstream()
    await jetstream.add_stream(StreamConfig(name="OTHER", subjects=["task.>"]))
    with capture_logs() as lines:
        async with reading(server.url) as read:
            await until(lambda: read.feed.resets["error"])
            await jetstream.delete_stream("OTHER")
            await until(lambda: read.feed.is_caught_up)
    assert any("another stream takes subjects" in str(line) for line in lines)


async def test_what_is_no_message_of_the_stream_is_an_error_that_ends_nothing(
    server: NatsServer, stream: Client
) -> None:
    """Somebody who knows the inbox could publish to it."""
    async with reading(server.url) as read:
        await fill(stream, 3)
        await has(read, 3)
        info = await stream.jetstream().consumer_info(NAME, await the_consumer(stream))
        assert info.config.deliver_subject
        await stream.publish(info.config.deliver_subject, b"forged", reply="_INBOX.x")
        await until(lambda: read.events.errors)
        await fill(stream, 3, start=4)
        await has(read, 6)
    assert not read.feed.resets


async def test_retention_that_eats_where_the_feed_reads_leaves_no_hole_unsaid(
    server: NatsServer, stream: Client
) -> None:
    """Several holes lie in what waits when the stream is asked where it begins: each is announced."""
    jetstream = stream.jetstream()
    async with reading(server.url) as read:
        await fill(stream, 10)
        await has(read, 10)
        await jetstream.update_stream((await jetstream.stream_info(NAME)).config, max_msgs=20)
        await fill(stream, 20_000, start=11)
        await until(lambda: read.feed.last_seq == 20_010)

    gaps = read.notes.gaps
    assert len(gaps) > 1
    lost = [seq for first, last, _ in gaps for seq in range(first, last + 1)]
    assert sorted([*read.notes.seqs, *lost]) == list(range(1, 20_011))
    assert {reason for _, _, reason in gaps} == {"retention"}


async def test_what_the_server_stores_for_a_subject_that_expired_is_passed_over(
    server: NatsServer, client: Client
) -> None:
    await server.make_stream()
    await ask(client, f"STREAM.UPDATE.{NAME}", await _with_markers(client))
    async with reading(server.url) as read:
        await until(lambda: read.feed.is_caught_up)
        for number in range(3):
            await client.jetstream().publish(f"llm.chunk.c.e{number}", b"1", headers={"Nats-TTL": "2s"})
        await fill(client, 1, start=2)
        await until(lambda: read.feed.last_seq == 7)  # the fourth stays; three markers follow
        await has_only(read, [1, 2, 3, 4])
    async with reading(server.url) as read:
        await until(lambda: read.feed.is_caught_up)
        await has_only(read, [4])
    stretch = await History(client, NAME, max_bytes=10**6).read(
        epoch_of(await client.jetstream().stream_info(NAME)), frozenset({Pattern("*", "*", "*", "*")}), 3, 7
    )
    assert ([message.seq for message in stretch.messages], stretch.upto, stretch.lost) == ([4], 7, None)


@pytest.mark.parametrize("pending_messages", [None, 1000], ids=["at once", "in turn"])
async def test_what_has_a_time_to_live_is_known_for_it(
    server: NatsServer, client: Client, pending_messages: int | None
) -> None:
    await server.make_stream()
    headers: list[dict[str, str] | None] = [
        None,
        {"Nats-TTL": "1h"},
        {"Nats-TTL": "never"},
        {"Nats-Msg-Id": "a", "Nats-TTL": "3600"},
        {"Nats-Msg-Id": "Nats-TTL: 5s"},
    ]
    async with reading(server.url, pending_messages=pending_messages) as read:
        await until(lambda: read.feed.is_caught_up)
        for number, some in enumerate(headers, 1):
            await client.jetstream().publish("task.completed.c.e", b"%d" % number, headers=some)
        await has(read, 5)
        assert read.notes.passing == [2, 4]
    async with reading(server.url, pending_messages=pending_messages) as read:
        await has(read, 5)
        assert read.notes.passing == [2, 4]
    stretch = await History(client, NAME, max_bytes=10**6).read(
        epoch_of(await client.jetstream().stream_info(NAME)), frozenset({Pattern("*", "*", "*", "*")}), 0, 5
    )
    assert [message.seq for message in stretch.messages if message.has_ttl] == [2, 4]


async def has_only(read: Reading, seqs: list[int]) -> None:
    assert read.notes.seqs == seqs
    assert read.notes.gaps == []


async def _with_markers(client: Client) -> dict[str, object]:
    """The stream's configuration as an operator changes it; nats-py knows no such setting."""
    config: dict[str, object] = (await ask(client, f"STREAM.INFO.{NAME}"))["config"]
    return config | {"subject_delete_marker_ttl": 2 * 10**9, "allow_rollup_hdrs": True, "deny_purge": False}


@pytest.mark.parametrize(
    ("replicas", "age", "lost"),
    [
        (3, 60.0, (11, 14)),  # the replica that sends may have let go of what the leader still has
        (3, 3600.0, None),  # nothing is so old
        (3, 0.0, None),  # nor can be
        (1, 60.0, None),  # there is one copy, and it said where it begins
    ],
)
async def test_a_hole_is_a_gap_where_a_replica_may_have_forgotten_before_the_leader(
    replicas: int, age: float, lost: tuple[int, int] | None
) -> None:
    notes = Notes()
    feed = Feed(ConnectionEvents(), settings(), notes, ring_bytes=1, heartbeat_seconds=1)
    now = datetime.now(UTC)
    feed.take(StoredMessage("task.completed", b"", 10, int((now.timestamp() - 59) * 1e9)), 0)
    info = StreamInfo(
        StreamConfig(name=NAME, num_replicas=replicas, max_age=age),
        StreamState(messages=20, bytes=1, first_seq=1, last_seq=20, consumer_count=0),
    )

    feed.explain(Look(info, now, now, 0), 15)

    assert notes.gaps == ([] if lost is None else [(*lost, "retention")])
