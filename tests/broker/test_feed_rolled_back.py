"""A stream that lost its end and goes on is another one, also where the feed had been given nothing there."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from bridge.broker.stream import ensure_stream
from tests.broker.sink import NAME, fill, reading, settings
from tests.nats_server import NatsServer
from tests.waiting import until

KEPT, LOST, LATER = 10, 10, 15


async def _deleted(client: Client) -> None:
    """The newest messages, as short-lived ones are after minutes."""
    for seq in range(KEPT + 1, KEPT + LOST + 1):
        await client.jetstream().delete_msg(NAME, seq)


async def _purged(client: Client) -> None:
    """Everything."""
    await client.jetstream().purge_stream(NAME)


@asynccontextmanager
async def _client(server: NatsServer) -> AsyncIterator[Client]:
    client = await nats.connect(server.url)
    yield client
    await client.close()


@pytest.mark.parametrize("is_there_before", [False, True])
@pytest.mark.parametrize("gone", [_deleted, _purged])
async def test_what_gets_the_numbers_of_what_was_gone_is_given(
    server: NatsServer, tmp_path: Path, gone: Callable[[Client], Awaitable[None]], *, is_there_before: bool
) -> None:
    now, saved = tmp_path / "nats" / "jetstream", tmp_path / "saved"
    async with _client(server) as client:
        await ensure_stream(client, settings())
        await fill(client, KEPT)
    server.stop()
    shutil.copytree(now, saved)
    server.start()
    async with AsyncExitStack() as running:
        if is_there_before:
            read = await running.enter_async_context(reading(server.url, heartbeat=0.5))
            await until(lambda: read.feed.is_caught_up)
        async with _client(server) as client:
            await fill(client, LOST, start=KEPT + 1)
            if is_there_before:
                await until(lambda: read.feed.last_seq == KEPT + LOST)
            await gone(client)
        if not is_there_before:
            read = await running.enter_async_context(reading(server.url, heartbeat=0.5))
            await until(lambda: read.feed.is_caught_up and read.feed.last_seq == KEPT + LOST)
        before = len(read.notes.seqs)
        server.kill()
        shutil.rmtree(now)
        shutil.copytree(saved, now)
        server.start()
        async with _client(server) as client:
            await fill(client, LATER, start=101)
        await until(lambda: read.notes.seqs[before:][-1:] == [KEPT + LATER], seconds=30)
        assert read.notes.seqs[before:] == list(range(1, KEPT + LATER + 1))
        assert len(read.notes.begins) == 2
        assert read.notes.gaps == []
