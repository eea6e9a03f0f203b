"""The feed of a stream with three replicas: leaders move, nodes die, the quorum is lost; nothing else is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from bridge.broker.stream import ensure_stream, epoch_of
from tests.broker.sink import NAME, Reading, reading, settings
from tests.nats_cluster import NatsCluster, nats_cluster
from tests.nats_server import NatsServer
from tests.waiting import soon, until


@asynccontextmanager
async def _client(cluster: NatsCluster) -> AsyncIterator[Client]:
    """Plain nats-py, of a moment."""
    client = await nats.connect(cluster.url.split(","), connect_timeout=1)
    try:
        yield client
    finally:
        await client.close()


async def _publish(cluster: NatsCluster, number: int) -> None:
    """One message, acknowledged, however often it has to be sent: it is stored once."""

    async def attempt() -> bool:
        try:
            async with _client(cluster) as client:
                headers = {"Nats-Msg-Id": str(number)}
                await client.jetstream(timeout=2).publish("task.completed", b"%d" % number, headers=headers)
        except (NatsError, OSError):
            return False
        return True

    await soon(attempt, seconds=60)


async def _brings(cluster: NatsCluster, read: Reading, first: int) -> int:
    """Ten more messages come, once and in order; the number of the next."""
    for number in range(first, first + 10):
        await _publish(cluster, number)
    await until(lambda: len(read.notes.seqs) >= first + 9 or None, seconds=90)
    assert [int(payload) for payload in read.notes.payloads] == list(range(1, first + 10))
    assert read.notes.gaps == []
    assert len(read.notes.begins) == 1
    return first + 10


async def _epoch(cluster: NatsCluster) -> str:
    info = await cluster.info(NAME)
    return "" if info is None else epoch_of(info)


async def _host(cluster: NatsCluster) -> NatsServer | None:
    """The server that the feed's consumer is on: it has one copy, and lives as long as this one does."""
    async with _client(cluster) as client:
        try:
            consumers = await client.jetstream(timeout=2).consumers_info(NAME)
        except (NatsError, OSError):
            return None
    places = [info.cluster.leader for info in consumers if info.cluster and info.cluster.leader]
    return cluster.servers[int(places[0][1:])] if len(places) == 1 else None


@pytest.mark.timeout(240)
async def test_it_brings_everything_once_whoever_leads(tmp_path: Path) -> None:
    async with nats_cluster(tmp_path) as cluster:
        async with _client(cluster) as client:
            await ensure_stream(client, settings(replicas=3))
        leader = await cluster.leader(NAME)
        async with reading(cluster.url, heartbeat=0.5) as read:
            number = await _brings(cluster, read, 1)

            async with _client(cluster) as client:
                await client.request(f"$JS.API.STREAM.LEADER.STEPDOWN.{NAME}", timeout=5)
            number = await _brings(cluster, read, number)

            leader = await cluster.leader(NAME)
            await asyncio.to_thread(cluster.servers[leader].kill)
            number = await _brings(cluster, read, number)
            await asyncio.to_thread(cluster.servers[leader].start)

            await cluster.leader(NAME)
            host = await soon(lambda: _host(cluster), seconds=30)
            lost = [host, next(server for server in cluster.servers if server is not host)]
            for server in lost:
                await asyncio.to_thread(server.kill)
            await until(lambda: not read.feed.is_caught_up, seconds=60)
            for server in lost:
                await asyncio.to_thread(server.start)
            await _brings(cluster, read, number)
            assert (
                await soon(lambda: _epoch(cluster), seconds=30) == read.notes.begins[0][0].partition("-")[0]
            )
