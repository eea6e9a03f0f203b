"""What breaks between the feed and its stream costs nothing, or is announced with exact bounds."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from random import randrange

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import StreamConfig

from bridge.broker.connection import ConnectionEvents, connected, is_lost, revive, stay_connected
from bridge.broker.stream import ensure_stream
from tests.broker.sink import NAME, Reading, fill, reading, settings
from tests.nats_server import NatsServer
from tests.proxy import Proxy, proxied
from tests.waiting import until


@pytest.fixture
async def proxy(server: NatsServer) -> AsyncIterator[Proxy]:
    """Between the feed and the server."""
    async with proxied(server.url) as proxy:
        yield proxy


async def _has(read: Reading, count: int) -> None:
    await until(lambda: len(read.notes.seqs) >= count or None)
    assert read.notes.seqs == list(range(1, count + 1))
    assert [int(payload) for payload in read.notes.payloads] == read.notes.seqs
    assert read.notes.gaps == []
    assert len(read.notes.begins) == 1


async def test_a_connection_cut_in_the_middle_of_messages_costs_nothing(client: Client, proxy: Proxy) -> None:
    await ensure_stream(client, settings())
    async with reading(proxy.url) as read:
        await until(lambda: read.feed.is_caught_up)
        for place in range(5):
            proxy.cut_after(3000 * (place + 1) + 17)
            await fill(client, 100, size=1000, start=100 * place + 1)
            await _has(read, 100 * (place + 1))
        assert read.events.reconnects == 5
    resets = read.feed.resets
    assert resets.total() >= 5
    assert set(resets) <= {"reconnect", "hole"}, "the first message after the cut may come before its news"


async def test_a_connection_that_passes_nothing_on_is_made_anew(client: Client, proxy: Proxy) -> None:
    """As after a firewall forgot it: neither side is told."""
    await ensure_stream(client, settings())
    async with reading(proxy.url, heartbeat=0.2) as read:
        await fill(client, 10)
        await _has(read, 10)
        proxy.stall()
        await fill(client, 10, start=11)
        await until(lambda: read.events.disconnects)
        assert not read.feed.is_caught_up
        proxy.resume()
        await _has(read, 20)
    assert read.feed.resets["silence"] == 1


async def test_what_retention_took_before_the_slow_feed_came_to_it_is_a_gap(
    client: Client, proxy: Proxy
) -> None:
    """The consumer lives on and passes over what is gone; only its place in the stream tells."""
    count, kept, size = 3000, 500, 20_000
    await client.jetstream().add_stream(StreamConfig(name=NAME, subjects=["task.>"], max_msgs=kept))
    async with reading(proxy.url, heartbeat=20.0) as read:
        await until(lambda: read.feed.is_caught_up)
        proxy.stall()
        await fill(client, count, size=size)
        proxy.resume()
        await until(lambda: read.notes.seqs[-1:] == [count], seconds=60)

    assert read.notes.gaps
    assert {reason for _, _, reason in read.notes.gaps} == {"retention"}
    lost = [seq for first, last, _ in read.notes.gaps for seq in range(first, last + 1)]
    assert sorted(read.notes.seqs + lost) == list(range(1, count + 1)), "each is given, or told of, once"
    assert not read.feed.resets


async def test_a_purge_before_the_slow_feed_came_to_it_is_a_gap_though_nothing_follows(
    client: Client, proxy: Proxy
) -> None:
    """Only a heartbeat tells that the consumer has passed over it."""
    count = 1000
    await ensure_stream(client, settings())
    async with reading(proxy.url, heartbeat=2.0) as read:
        await until(lambda: read.feed.is_caught_up)
        proxy.stall()
        await fill(client, count, size=20_000)
        await client.jetstream().purge_stream(NAME)
        proxy.resume()
        await until(lambda: read.feed.last_seq == count)

    ((first, last, reason),) = read.notes.gaps
    assert (last, reason) == (count, "retention")
    assert read.notes.seqs == list(range(1, first))


async def test_what_was_deleted_or_expired_in_between_is_no_gap_and_is_asked_about_seldom(
    server: NatsServer, client: Client
) -> None:
    await ensure_stream(client, settings())
    await fill(client, 200)
    for seq in range(2, 200, 2):
        await client.jetstream().delete_msg(NAME, seq)
    async with reading(server.url) as read:
        await until(lambda: read.feed.is_caught_up)
        assert read.notes.seqs == [*range(1, 200, 2), 200]
        assert read.notes.gaps == []
        assert read.client.stats["out_msgs"] < 30, "flow control and requests, but not one for each hole"


async def test_an_end_that_has_expired_is_passed_over(server: NatsServer, client: Client) -> None:
    """A browser's cursor may be there: it must not look as if it came from the future."""
    await ensure_stream(client, settings())
    await fill(client, 5)
    for _ in range(5):
        await client.jetstream().publish("task.progress", b"0", headers={"Nats-TTL": "1"})
    await until_expired(client, 5)
    async with reading(server.url) as read:
        await until(lambda: read.feed.is_caught_up)
        assert read.notes.skipped == read.feed.last_seq == 10
        await fill(client, 1, start=11)
        await until(lambda: read.notes.seqs[-1:] == [11])
    assert read.notes.seqs == [1, 2, 3, 4, 5, 11]
    assert read.notes.gaps == []


async def until_expired(client: Client, left: int) -> None:
    async with asyncio.timeout(20):
        while (await client.jetstream().stream_info(NAME)).state.messages > left:
            await client.flush()


async def test_streams_made_anew_again_and_again_are_never_taken_for_each_other(
    server: NatsServer, client: Client
) -> None:
    """Between any two requests of the feed: the messages of one incarnation come under one epoch."""
    rounds = 12
    jetstream = client.jetstream()
    async with reading(server.url, heartbeat=0.1) as read:
        for number in range(1, rounds + 1):
            await until(lambda: read.notes.begins)
            await jetstream.purge_stream(
                NAME
            )  # else the server may find the old files when it makes the new one
            await jetstream.delete_stream(NAME)
            await ensure_stream(client, settings())
            for _ in range(randrange(150)):
                await jetstream.publish("task.completed", str(number).encode())
        await jetstream.publish("task.completed", b"end")
        await until(lambda: read.notes.payloads[-1:] == [b"end"])

    assert len({epoch for epoch, _ in read.notes.begins}) == len(read.notes.begins)
    pairs = list(zip(read.notes.seqs, read.notes.payloads, strict=True))[:-1]
    for (seq, payload), (next_seq, next_payload) in pairwise(pairs):
        if payload == next_payload:
            assert next_seq == seq + 1
        else:
            assert next_seq == 1, "a new incarnation is read from its beginning"
    changes = sum(one[1] != other[1] for one, other in pairwise(pairs))
    assert changes < len(read.notes.begins)


async def _stopped(server: NatsServer, client: Client) -> None:
    """The server is down, and the client knows."""
    server.stop()
    await until(lambda: not client.is_connected)


@asynccontextmanager
async def _set_back(server: NatsServer, client: Client, tmp_path: Path) -> AsyncIterator[Reading]:
    """A feed that has read 20 messages of a stream, which is then set back to the first 10 of them."""
    store, backup = tmp_path / "nats" / "jetstream", tmp_path / "backup"
    await ensure_stream(client, settings())
    await fill(client, 10)
    await _stopped(server, client)
    shutil.copytree(store, backup)
    server.start()
    await until(lambda: client.is_connected)
    async with reading(server.url) as read:
        await fill(client, 10, start=11)
        await _has(read, 20)
        await _stopped(server, client)
        shutil.rmtree(store)
        shutil.copytree(backup, store)
        server.start()
        yield read


async def test_a_stream_that_lost_its_end_is_another_one_though_it_is_as_old(
    server: NatsServer, client: Client, tmp_path: Path
) -> None:
    """A power cut, or a backup: numbers that were given are given again, to other messages."""
    async with _set_back(server, client, tmp_path) as read:
        await until(lambda: client.is_connected)
        await fill(client, 30, start=101)
        await until(lambda: read.notes.payloads[-1] == b"%08d" % 130)

    assert len(read.notes.begins) == 2
    (first, _), (second, floor) = read.notes.begins
    created = first.partition("-")[0]
    assert (first, second) == (f"{created}-0", f"{created}-1")
    assert floor == 0
    assert read.notes.seqs[20:] == list(range(1, 41))
    assert [int(payload) for payload in read.notes.payloads[20:]] == [*range(1, 11), *range(101, 131)]


async def test_a_stream_that_stays_behind_what_was_read_of_it_is_another_one(
    server: NatsServer, client: Client, tmp_path: Path
) -> None:
    async with _set_back(server, client, tmp_path) as read:
        await until(lambda: len(read.notes.begins) == 2)
        await until(lambda: read.feed.is_caught_up)
    assert read.feed.resets["behind"] >= 2
    assert read.notes.seqs[20:] == list(range(1, 11))


async def test_a_client_that_gave_up_for_good_is_replaced(server: NatsServer) -> None:
    events = ConnectionEvents()
    clients: list[Client] = []

    async def work(client: Client) -> None:
        clients.append(client)
        await client.flush()
        await client.close()

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        working = tasks.create_task(stay_connected(server.url, "test", events, work))
        await until(lambda: len(clients) >= 3)
        working.cancel()
    assert len(set(map(id, clients))) >= 3
    assert all(map(is_lost, clients))
    assert not events.is_connected


async def test_a_server_that_refuses_is_asked_again(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    server.configure("authorization { token: right }")
    server.start()
    events = ConnectionEvents()

    async def work(client: Client) -> None:
        await client.flush()

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        working = tasks.create_task(stay_connected(server.url, "test", events, work))
        await until(lambda: events.errors >= 2)
        working.cancel()
    server.stop()


async def test_a_feed_whose_client_is_lost_ends_and_goes_on_with_the_next(
    server: NatsServer, client: Client
) -> None:
    await ensure_stream(client, settings())
    async with reading(server.url, heartbeat=0.2) as read:
        await fill(client, 10)
        await _has(read, 10)
        await read.client.close()
        async with connected(server.url, "next", read.events) as other, asyncio.TaskGroup() as tasks:
            await fill(client, 10, start=11)
            going_on = tasks.create_task(read.feed.run(other))
            await _has(read, 20)
            going_on.cancel()


async def test_a_server_that_answers_is_left_alone(server: NatsServer, proxy: Proxy) -> None:
    events = ConnectionEvents()
    async with connected(proxy.url, "test", events) as client:
        await revive(client, 5.0)
        assert events.is_connected
        proxy.stall()
        await revive(client, 0.1)
        await until(lambda: not events.is_connected)
        await revive(client, 0.1)
        proxy.resume()
        await until(lambda: client.is_connected)
        with pytest.raises(NatsError):
            await client.jetstream().stream_info("NONE")
