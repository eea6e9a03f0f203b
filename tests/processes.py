"""The command ``crew-bridge`` in processes of its own, set up by variables as an operator would."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from bridge.service import Running
from tests.client import Client
from tests.waiting import eventually

COMMAND = [sys.executable, "-m", "bridge"]
_URL = re.compile(r"https?://[0-9.]+:\d+")
_NATS = re.compile(r"nats://[0-9.]+:\d+")


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """This process's, with ``BRIDGE_*`` variables for ``settings`` only."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    return {
        **inherited,
        "PYTHONUNBUFFERED": "1",
        **{
            f"BRIDGE_{name.upper()}": str(value)
            for name, value in ({"embedded_port": 0, "health_seconds": 0} | dict(settings)).items()
        },
    }


def run(*arguments: str, **settings: object) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(settings),
        text=True,
        capture_output=True,
        timeout=30,
        check=False,
    )


def free_ports(count: int) -> int:
    """The first of so many ports in a row that were free a moment ago."""
    for first in range(20_000 + os.getpid() % 5_000 * 8, 60_000, 8):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for number, one in enumerate(sockets):
                one.bind(("127.0.0.1", first + number))
        except OSError:
            continue
        else:
            return first
        finally:
            for one in sockets:
                one.close()
    raise AssertionError("no free ports")


class Process:
    """A command that runs until it is told to end; what it writes goes to files in ``directory``."""

    def __init__(self, directory: Path, *arguments: str, **settings: object) -> None:
        name = arguments[0]
        self._out, self._err = directory / f"{name}.out", directory / f"{name}.err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.popen = subprocess.Popen(
                [*COMMAND, *arguments], env=environment(settings), cwd=directory, stdout=out, stderr=err
            )

    @property
    def output(self) -> str:
        return self._out.read_text()

    @property
    def errors(self) -> str:
        return self._err.read_text()

    def ended(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.popen.send_signal(number)
        return self.popen.wait(15)

    def bridge(self) -> Running:
        """Where the bridge listens, once it says so."""
        eventually(
            lambda: "NATS: " in self.output or "stop: " in self.output or self.popen.poll() is not None
        )
        assert self.popen.poll() is None, self.errors
        return Running(_URL.findall(self.output)[0], _NATS.findall(self.output)[0])


@contextmanager
def process(directory: Path, *arguments: str, **settings: object) -> Iterator[Process]:
    """A command that has ended when the test has."""
    directory.mkdir(parents=True, exist_ok=True)
    started = Process(directory, *arguments, **settings)
    try:
        yield started
    finally:
        if started.popen.poll() is None:
            started.popen.terminate()
            try:
                started.popen.wait(15)
            except subprocess.TimeoutExpired:
                started.popen.kill()
                started.popen.wait()


class BridgeProcess:
    """The process, and a client of it."""

    def __init__(self, process: asyncio.subprocess.Process, client: Client) -> None:
        self.process = process
        self.client = client

    async def ended(self, seconds: float = 10.0) -> int:
        """The exit code."""
        async with asyncio.timeout(seconds):
            return await self.process.wait()


@asynccontextmanager
async def bridge_process(**settings: object) -> AsyncIterator[BridgeProcess]:
    """Started with ``settings``, and ready; in the end it must not have told of a fault."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "serve",
        env=environment({"port": 0, "log_level": "error"} | settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            words = (await process.stdout.readline()).decode().split()
        url, nats_url = words[2], words[4].rstrip(")")
        yield BridgeProcess(process, await Client.of(Running(url, nats_url)))
    finally:
        if process.returncode is None:
            process.terminate()
        complaints = (await process.stderr.read()).decode()
        await process.wait()
    assert "Traceback" not in complaints, complaints
