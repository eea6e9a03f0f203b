"""A real nats-server of a test's own: it can be killed, and come back on the same port with the same data."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats
from nats.js.api import StreamConfig

from contracts.catalog import families
from tests.waiting import eventually

SUBJECTS = [subject for family in sorted(families()) for subject in (f"{family}.*", f"{family}.*.*.*")]


def binary() -> str:
    """The nats-server beside this Python, or the one on PATH."""
    beside = Path(sys.executable).parent / "nats-server"
    return str(beside) if beside.exists() else shutil.which("nats-server") or "nats-server"


class NatsServer:
    """JetStream in ``directory``; a port is chosen at the first start and kept."""

    def __init__(self, directory: Path, *, jetstream: bool = True) -> None:
        """Without ``jetstream`` there is none but what is configured."""
        self._directory = directory
        self._jetstream = ["-js", "-sd", str(directory)] if jetstream else []
        self._process: subprocess.Popen[bytes] | None = None
        self._port = -1
        self._configuration: list[str] = []
        self.url = ""

    def configure(self, text: str) -> None:
        """What the arguments cannot say; before the start."""
        path = self._directory / "nats.conf"
        path.write_text(text)
        self._configuration = ["-c", str(path)]

    def start(self) -> None:
        for old in self._directory.glob("*.ports"):
            old.unlink()
        arguments = [*self._jetstream, "--ports_file_dir", str(self._directory)]
        command = [binary(), "-a", "127.0.0.1", "-p", str(self._port), *arguments, *self._configuration]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.url = eventually(self._announced)
        self._port = int(self.url.rpartition(":")[2])

    def _announced(self) -> str | None:
        ports = list(self._directory.glob("*.ports"))
        text = ports[0].read_text() if ports else ""
        return str(json.loads(text)["nats"][0]) if text else None

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            # One that a failed test has left suspended hears nothing else.
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(10)
            self._process = None

    def suspend(self) -> None:
        """Answer nothing any more, and keep all connections."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    async def make_stream(self, *, expiring: bool = True, url: str | None = None, **config: Any) -> None:
        client = await nats.connect(url or self.url)
        stream = StreamConfig(name="CREW_EVENTS", subjects=SUBJECTS, allow_msg_ttl=expiring)
        await client.jetstream().add_stream(stream.evolve(**config))
        await client.close()


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """A server for tests that say things to everyone; its URL."""
    server = NatsServer(directory)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
