"""A cluster of three loses its leader under load: nothing is lost, and two bridges tell the same."""

import asyncio
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.e2e.chaos.browser import Address
from tests.e2e.chaos.play import log, play
from tests.e2e.chaos.record import STREAM
from tests.e2e.chaos.size import seeded, size
from tests.e2e.chaos.world import BridgeServer, bridge_server
from tests.nats_cluster import NatsCluster, nats_cluster
from tests.waiting import soon

_SETTINGS = {"stream_replicas": 3, "ring_bytes": 300_000, "buffer_bytes": 64 * 1024, "drain_seconds": 3.0}


async def _kill_leaders(cluster: NatsCluster, times: int) -> None:
    killed: list[int] = []
    for _ in range(times):
        await asyncio.sleep(2)
        leader = await cluster.leader(STREAM)
        await asyncio.to_thread(cluster.servers[leader].kill)
        killed.append(leader)
        await soon(lambda: _has_leader(cluster), seconds=60)
        await asyncio.sleep(3)
        await asyncio.to_thread(cluster.servers[leader].start)
    log.info("killed %s", killed)


async def _has_leader(cluster: NatsCluster) -> bool:
    """The other two elect one after four to nine seconds."""
    return await cluster.info(STREAM) is not None


def _either(bridges: list[BridgeServer], used: Counter[int], random: Random) -> Address:
    """Another bridge whenever the browser connects, as behind a load balancer."""

    def address() -> tuple[str, int]:
        number = random.randrange(len(bridges))
        used[number] += 1
        return bridges[number].address

    return address


@pytest.mark.timeout(3600)
async def test_browsers_that_move_between_two_bridges_lose_nothing_while_leaders_are_killed(
    tmp_path: Path,
) -> None:
    used: Counter[int] = Counter()
    async with (
        nats_cluster(tmp_path) as cluster,
        bridge_server(tmp_path / "one", cluster.url, **_SETTINGS) as one,
        bridge_server(tmp_path / "two", cluster.url, **_SETTINGS) as two,
    ):
        await play(
            cluster.url,
            lambda random: _either([one, two], used, random),
            lambda: _kill_leaders(cluster, int(size(2, 12))),
            seeded(),
        )
        resets = [await bridge.metric("feed_resets_total") for bridge in (one, two)]
        log.info("feed resets %s", resets)
    assert min(used.values()) > 100
