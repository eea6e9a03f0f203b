"""The parts of a run, each a real process that can be killed and comes back where it was."""

import asyncio
import signal
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.client import Client
from tests.processes import Process
from tests.waiting import soon

QUICK = {"heartbeat_seconds": 1.0, "log_level": "info", "feed_heartbeat_seconds": 1.0}
"""Browsers here count as cut off after seconds; so does the feed."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with sockets.socket() as socket:
        socket.bind(("127.0.0.1", 0))
        port: int = socket.getsockname()[1]
        return port


class BridgeServer:
    """``crew-bridge serve`` on a port that it keeps over its restarts."""

    def __init__(self, directory: Path, nats_url: str, **settings: Any) -> None:
        self._directory = directory
        port = free_port()
        self._settings: dict[str, Any] = {"nats_url": nats_url, "port": port} | QUICK | settings
        self._process: Process | None = None
        self.starts = 0
        self.address = ("127.0.0.1", port)

    @property
    def client(self) -> Client:
        """Asks the bridge over HTTP."""
        assert self._process is not None
        return Client(self._process.bridge())

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None
        return self._process.popen.pid

    async def start(self) -> None:
        """Returns when the process runs, not when it is ready."""
        self.starts += 1
        directory = self._directory / str(self.starts)
        directory.mkdir(parents=True)
        self._process = await asyncio.to_thread(Process, directory, "serve", **self._settings)

    async def ready(self) -> None:
        """Wait until browsers are served."""
        client = await asyncio.to_thread(lambda: self.client)

        async def look() -> bool:
            try:
                return (await client.get("/readyz"))[0] == 200
            except OSError:
                return False

        await soon(look, seconds=60)

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end; the exit code."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.ended, number)

    def complaints(self) -> str:
        """What the processes said that sounds like a fault of ours."""
        texts = [path.read_text() for path in sorted(self._directory.glob("*/serve.err"))]
        return "\n".join(text[text.index("Traceback") :][:4000] for text in texts if "Traceback" in text)

    async def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        client = await asyncio.to_thread(lambda: self.client)
        _, text = await client.get("/metrics")
        lines = [line for line in str(text).splitlines() if line.startswith(f"crew_bridge_{name}")]
        assert lines, f"there is no metric {name}"
        return sum(float(line.split()[-1]) for line in lines)

    def rss(self) -> int:
        """Bytes of memory that the process has now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")


@asynccontextmanager
async def bridge_server(directory: Path, nats_url: str, **settings: Any) -> AsyncIterator[BridgeServer]:
    """Started and ready; ended when this is over, and it must not have told of a fault of its own."""
    server = BridgeServer(directory, nats_url, **settings)
    await server.start()
    async with AsyncExitStack() as lifetime:
        lifetime.push_async_callback(server.end)
        await server.ready()
        yield server
    assert not server.complaints(), server.complaints()


def host_and_port(url: str) -> tuple[str, int]:
    """Of a URL."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port
