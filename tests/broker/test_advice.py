"""A mistake that stays until somebody mends it is told in a line that says what to do, in log and probes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.js.errors import APIError
from structlog.testing import capture_logs

from bridge.broker.advice import on_stream
from bridge.config import Settings
from bridge.service import running
from tests.broker.sink import settings
from tests.client import Client as Browser
from tests.nats_server import NatsServer
from tests.waiting import soon


async def _reason(url: str, words: str, **changes: Any) -> list[str]:
    """The errors that a bridge on ``url`` logs in two attempts or more, with ``words`` in its readiness."""
    with capture_logs() as lines:
        async with running(Settings(nats_url=url, port=0, health_seconds=0, **changes)) as bridge:
            browser = Browser(bridge)
            body = await soon(lambda: _says(browser, words))
            await asyncio.sleep(1.2)  # more attempts, of which nothing more is to be heard
            assert not body["ready"]
    return [line["event"] for line in lines if line["log_level"] == "error" or "error" in line]


async def _says(browser: Browser, words: str) -> dict[str, Any] | None:
    _, body = await browser.get("/readyz")
    return body if words in (body["reason"] or "") else None


@pytest.mark.parametrize(
    ("jetstream", "changes", "words"),
    [
        ("", {}, "start nats-server with --jetstream"),
        (
            "jetstream { max_file_store: 10MB }",
            {},
            "lower BRIDGE_STREAM_MAX_BYTES (1073741824), or raise its",
        ),
        (
            "jetstream { max_memory_store: 10MB }",
            {"stream_storage": "memory"},
            "too little memory for the stream CREW_EVENTS: lower BRIDGE_STREAM_MAX_BYTES",
        ),
        ("jetstream {}", {"stream_replicas": 3}, "lower BRIDGE_STREAM_REPLICAS (3) to 1"),
    ],
)
async def test_what_the_server_cannot_do_is_said_once_with_what_to_change(
    tmp_path: Path, jetstream: str, changes: dict[str, Any], words: str
) -> None:
    server = NatsServer(tmp_path, jetstream=False)
    server.configure(jetstream.replace("{", f'{{ store_dir: "{tmp_path}", '))
    server.start()
    try:
        (line,) = await _reason(server.url, words, **changes)
    finally:
        server.stop()
    assert words in line


@pytest.mark.parametrize(
    ("login", "words"),
    [("", "BRIDGE_NATS_URL has none for it"), ("crew:wrong@", "refuses the credentials in BRIDGE_NATS_URL")],
)
async def test_credentials_that_are_wrong_or_absent_are_said_once_and_not_at_every_attempt(
    tmp_path: Path, login: str, words: str
) -> None:
    server = NatsServer(tmp_path)
    server.configure("authorization { user: crew, password: s3cret }")
    server.start()
    try:
        (line,) = await _reason(server.url.replace("nats://", f"nats://{login}"), words)
    finally:
        server.stop()
    assert words in line
    assert server.url in line


async def test_an_address_without_a_server_is_named(tmp_path: Path) -> None:
    (line,) = await _reason("nats://127.0.0.1:1", "start it, or correct BRIDGE_NATS_URL")

    assert line.startswith("no NATS server answers at nats://127.0.0.1:1 (")


@asynccontextmanager
async def _old_server() -> AsyncIterator[str]:
    """What a nats-server 2.9 says of itself, and how it answers a ping."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = {"server_id": "S", "version": "2.9.25", "headers": True, "max_payload": 2**20, "proto": 1}
        writer.write(f"INFO {json.dumps(info)}\r\n".encode())
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listener:
        host, port = listener.sockets[0].getsockname()
        yield f"nats://{host}:{port}"


async def test_a_server_that_is_too_old_is_named_with_the_oldest_that_will_do() -> None:
    async with _old_server() as url:
        (line,) = await _reason(url, "nats-server 2.9 is too old: upgrade it to 2.10 or newer")
    assert "too old" in line


async def test_what_the_user_may_not_do_is_named_in_the_letters_of_the_server(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    server.configure(
        "authorization { users: [{ user: a, password: b, "
        'permissions: { publish: { deny: ["$JS.API.CONSUMER.>"] } } }] }'
    )
    server.start()
    words = 'allow its user to publish to "$JS.API.CONSUMER.CREATE.CREW_EVENTS.'
    try:
        lines = await _reason(server.url.replace("nats://", "nats://a:b@"), words)
    finally:
        server.stop()
    assert any(words in line for line in lines)


async def test_what_is_mended_is_not_told_any_more(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    server.start()
    server.stop()
    async with running(Settings(nats_url=server.url, port=0, health_seconds=0)) as bridge:
        browser = Browser(bridge)
        await soon(lambda: _says(browser, "no NATS server answers"))
        await asyncio.to_thread(server.start)
        await soon(lambda: _is_ready(browser))
    server.stop()


async def _is_ready(browser: Browser) -> bool:
    _, body = await browser.get("/readyz")
    return bool(body["ready"] and body["reason"] is None)


def test_what_is_not_known_is_told_in_the_words_of_the_server() -> None:
    error = APIError(code=500, err_code=10012, description="something else")

    assert on_stream(error, settings()).startswith(
        "NATS refuses the stream CREW_EVENTS (something else, error 10012)"
    )
    assert "cannot be read (OSError)" in on_stream(OSError(), settings())
