"""A server of each test's own: these tests kill theirs, and delete its stream."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from tests.nats_server import NatsServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """Runs, and may be killed."""
    directory = tmp_path / "nats"
    directory.mkdir()
    server = NatsServer(directory)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def client(server: NatsServer) -> AsyncIterator[Client]:
    """Plain nats-py, for what an operator or a publisher would do."""
    async with AsyncExitStack() as lifetime:
        client = await nats.connect(server.url, max_reconnect_attempts=-1, reconnect_time_wait=1)
        lifetime.push_async_callback(client.close)
        yield client
