"""The servers that are compared, each started anew in processes of its own, on the loopback."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from bridge.bench.publisher import execution
from bridge.bench.receiver import Dial
from bridge.bench.wire import client_frame, handshake, subject
from bridge.embedded import end_with_parent, find_binary

T = TypeVar("T")
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0
_UNLIMITED: Final = {"max_connections": 100_000, "max_connections_per_second": 1_000_000}
"""Limits of the bridge that a bench would run into; the others have none."""
_CPU_CLOCK: Final = 2
"""From linux/posix-timers.h: the clock that counts what all threads of a process were given."""


@dataclass(frozen=True, slots=True)
class Server:
    """One that delivers, and what it hangs on."""

    name: str
    pid: int
    address: tuple[str, int]
    nats_url: str
    """Where to publish."""
    feeder_pid: int | None = None
    """The nats-server that feeds a bridge."""
    is_stream: bool = False
    is_deflated: bool = False
    """It compresses for who asks for that, as browsers do."""

    def dial(self, number: int, event_type: str, options: str = "", *, is_stalled: bool = False) -> Dial:
        """How a browser connects to see execution ``number``."""
        host = f"{self.address[0]}:{self.address[1]}"
        if self.name == "nats":
            return _nats_dial(host, subject(event_type, execution(number)), is_stalled=is_stalled)
        prefix = "/api/v1/websocket" if self.name == "bridge" else ""
        path = f"{prefix}/ws/executions/{execution(number)}"
        query, _, command = options.partition("#") if self.name == "bridge" else ("", "", "")
        ready = b"connection.established" if self.name == "bridge" else b"\r\n\r\n"
        if command:
            request = handshake(path + query, host)
            return Dial(request, b'"filtered"', client_frame(command), is_stalled)
        return Dial(handshake(path + query, host), ready, is_stalled=is_stalled)


def _nats_dial(host: str, wanted: str, *, is_stalled: bool) -> Dial:
    # The length of what is sent for each event must be even: the marker is odd.
    sid = "1" if len(wanted) % 2 == 0 else "10"
    words = f'CONNECT {{"verbose":false,"headers":true}}\r\nSUB {wanted} {sid}\r\nPING\r\n'
    return Dial(handshake("/", host), b"PONG\r\n", client_frame(words), is_stalled)


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads, as ``/proc/<pid>/stat`` has it, but finer than in ticks."""
    return time.clock_gettime_ns((~pid << 3) | _CPU_CLOCK) / 1e9


def written(server: Server) -> tuple[int, int]:
    """What the bridge counts: writes that delivered events, and events delivered; zeros for others."""
    if server.name != "bridge":
        return 0, 0
    text = metrics(server)
    return _sum(text, "writes"), _sum(text, "events_delivered")


def metrics(server: Server) -> str:
    """What the bridge tells Prometheus."""
    url = f"http://{server.address[0]}:{server.address[1]}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return bytes(answer.read()).decode()


def _sum(text: str, name: str) -> int:
    return sum(
        int(float(value)) for value in re.findall(rf"^crew_bridge_{name}_total(?:{{.*}})? (\S+)$", text, re.M)
    )


def rss_bytes(pid: int) -> int:
    """Memory of the process that is resident."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def bridge(directory: Path, *options: str, **settings: object) -> Iterator[Server]:
    """This bridge, as ``crew-bridge serve`` runs it, with a nats-server that feeds it."""
    with nats_server(directory / "feeder", jetstream=True) as (feeder, urls):
        own = {"nats_url": urls["nats"], "port": 0} | _UNLIMITED | settings
        with _python(directory, "bridge", "serve", *options, **own) as (process, out):
            words = _eventually(lambda: re.search(r"(http://\S+)", out.read_text()), process)
            url = urlsplit(words[1])
            deflates = bool(settings.get("compression"))
            address = _address(url.geturl())
            yield Server("bridge", process.pid, address, urls["nats"], feeder, True, deflates)


@contextmanager
def naive(directory: Path, *options: str) -> Iterator[Server]:
    """A bridge as one would write it first."""
    with (
        nats_server(directory / "feeder") as (feeder, urls),
        _python(directory, "bridge.bench.naive", urls["nats"], *options) as (process, out),
    ):
        port = _eventually(lambda: re.search(r"port (\d+)", out.read_text()), process)[1]
        address, deflates = ("127.0.0.1", int(port)), "compress" in options
        yield Server("naive", process.pid, address, urls["nats"], feeder, is_deflated=deflates)


@contextmanager
def nats(directory: Path) -> Iterator[Server]:
    """nats-server's own WebSocket listener."""
    configuration = "websocket {\n  host: 127.0.0.1\n  port: -1\n  no_tls: true\n}\n"
    with nats_server(directory, configuration=configuration) as (pid, urls):
        yield Server("nats", pid, _address(urls["websocket"]), urls["nats"])


@contextmanager
def floor(
    directory: Path, connections: int, groups: int
) -> Iterator[tuple[Server, "subprocess.Popen[bytes]"]]:
    """No server: a loop of ``send``, told what to send on its standard input."""
    with _python(directory, "bridge.bench.floor", str(connections), str(groups)) as (process, out):
        port = _eventually(lambda: re.search(r"port (\d+)", out.read_text()), process)[1]
        yield Server("floor", process.pid, ("127.0.0.1", int(port)), ""), process


SERVERS: Final = {"bridge": bridge, "nats": nats, "naive": naive}


@contextmanager
def nats_server(
    directory: Path, *, jetstream: bool = False, configuration: str = ""
) -> Iterator[tuple[int, dict[str, str]]]:
    """A nats-server: its process, and its URLs by protocol."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "nats.conf"
    file.write_text(configuration, encoding="ascii")
    options = ["--jetstream", "--store_dir", str(directory)] if jetstream else []
    command = [str(find_binary()), "-c", str(file), "-a", "127.0.0.1", "-p", "-1", *options]
    with _process([*command, "--ports_file_dir", str(directory)], directory / "out") as process:
        ports = _eventually(lambda: _ports(directory), process)
        yield process.pid, {name: urls[0] for name, urls in ports.items()}


def _ports(directory: Path) -> dict[str, list[str]] | None:
    try:
        files = list(directory.glob("*.ports"))
        return json.loads(files[0].read_text(encoding="utf-8")) if files else None
    except ValueError:
        return None


@contextmanager
def _python(
    directory: Path, module: str, *arguments: str, **settings: object
) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    own = {f"BRIDGE_{name.upper()}": str(value) for name, value in settings.items()}
    out = directory / "out"
    command = [sys.executable, "-m", module, *arguments]
    with _process(command, out, inherited | own | {"PYTHONUNBUFFERED": "1"}) as process:
        yield process, out


@contextmanager
def _process(
    command: list[str], out: Path, environment: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has ended when this has, also when this is killed."""
    with out.open("wb") as file, ExitStack() as stack:
        process = subprocess.Popen(  # noqa: S603 - our own
            command,
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            env=environment,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - it only makes one call to the system
        )
        stack.callback(_end, process)
        yield process


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _eventually(look: Callable[[], T | None], process: "subprocess.Popen[bytes]") -> T:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := look():
            return found
        time.sleep(0.02)
    raise ChildProcessError(f"{process.args!r} does not start, or has ended")


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0
