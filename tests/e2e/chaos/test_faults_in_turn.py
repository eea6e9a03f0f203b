"""Whatever breaks, in turn and under load: every browser has its events, once, in order, and no gap."""

from pathlib import Path

import pytest

from tests.e2e.chaos.faults import Faults
from tests.e2e.chaos.play import log, play
from tests.e2e.chaos.size import seeded, size
from tests.e2e.chaos.world import bridge_server
from tests.nats_server import NatsServer
from tests.proxy import proxied

_SMALL_RING = {"ring_bytes": 300_000, "buffer_bytes": 16 * 1024, "drain_seconds": 3.0}
"""It holds a second or two of what is published: who is away for longer reads from JetStream."""


@pytest.mark.timeout(3600)
async def test_every_browser_has_exactly_its_events_whatever_broke(tmp_path: Path) -> None:
    random = seeded()
    (tmp_path / "nats").mkdir()
    server = NatsServer(tmp_path / "nats")
    server.start()
    try:
        async with (
            proxied(server.url) as proxy,
            bridge_server(tmp_path / "bridge", proxy.url, **_SMALL_RING) as bridge,
        ):
            faults = Faults(server, bridge, proxy, random)
            await play(
                server.url,
                lambda _: lambda: bridge.address,
                lambda: faults.in_turn(size(60, 600), rest=1.5),
                random,
            )
            log.info("%s; %d times a browser fell behind", faults.done, faults.fell_behind)
    finally:
        server.stop()
    assert faults.fell_behind > 0, "nobody read too slowly: that was not tried"
