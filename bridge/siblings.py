"""Several bridges on one port: processes that share it, started, watched and ended by one parent."""

import asyncio
import os
import signal
import socket as sockets
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from time import monotonic
from typing import Final

import structlog

from bridge.config import EMBEDDED, PREFIX, Settings, default_instance
from bridge.embedded import embedded_server, end_with_parent
from contracts.servers import without_credentials

log = structlog.get_logger(__name__)

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_STEADY_SECONDS: Final = 60.0
"""A worker that ran for so long had nothing wrong with it when it started."""
_GRACE_SECONDS: Final = 5.0
"""What a worker needs to stop besides the time for its clients."""
_ANNOUNCEMENT: Final = b"Crew Bridge: "


class Sibling:
    """One place among the workers: its process, and the next one when that has died.

    ``give_up`` is called when the first process ends before it ever served: others would do no better.
    """

    def __init__(self, environment: Mapping[str, str], give_up: Callable[[], None]) -> None:
        self._environment = environment
        self._give_up = give_up
        self._process: Process | None = None
        self._stop = asyncio.Event()
        self.is_serving = asyncio.Event()
        """Set once the first process has announced itself."""
        self.code = 0
        """What its last process ended with."""

    async def run(self) -> None:
        """Until it is stopped, or gives up."""
        pause = _FIRST_PAUSE
        while True:
            began = monotonic()
            self.code = await self._live()
            if self._stop.is_set():
                return
            if not self.is_serving.is_set():
                self._give_up()
                return
            pause = _FIRST_PAUSE if monotonic() - began > _STEADY_SECONDS else pause
            instance = self._environment[f"{PREFIX}INSTANCE"]
            log.error("worker died", instance=instance, code=self.code, again_in_seconds=pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stop.wait()
                return
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _live(self) -> int:
        """One process's life; its exit code."""
        process = self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", "serve"),
            env=self._environment,
            stdin=DEVNULL,
            stdout=PIPE,
            preexec_fn=end_with_parent,
        )
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        if self._stop.is_set():
            self.tell(signal.SIGTERM)
        async for line in process.stdout:
            if line.startswith(_ANNOUNCEMENT):
                self.is_serving.set()
        return await process.wait()

    def stop(self) -> None:
        """Let it end, and have no successor."""
        self._stop.set()
        self.tell(signal.SIGTERM)

    def tell(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


async def serve(settings: Settings, count: int, stop: asyncio.Event, say: Callable[[str], object]) -> int:
    """Run ``count`` workers until ``stop``; the exit code: 0 if all ended well.

    The parent owns the port, and the nats-server if that is embedded.
    """
    async with AsyncExitStack() as stack:
        nats_url = settings.nats_url
        if nats_url == EMBEDDED:
            server = embedded_server(settings.data_dir, settings.embedded_port)
            nats_url = await stack.enter_async_context(server)
        url, port = stack.enter_context(_reserved(settings.host, settings.port))
        environments = [_environment(settings, index, port, nats_url) for index in range(count)]
        workers = [Sibling(environment, stop.set) for environment in environments]
        async with _at_work(workers, settings.drain_seconds + _GRACE_SECONDS):
            if await _all_serve(workers, stop):
                say(f"Crew Bridge: {url}  (NATS: {without_credentials(nats_url)})")
            await stop.wait()
    return next((worker.code if worker.code > 0 else 1 for worker in workers if worker.code), 0)


@asynccontextmanager
async def _at_work(workers: list[Sibling], seconds: float) -> AsyncIterator[None]:
    """The workers run; in the end they have so many seconds before they are killed."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(worker.run()) for worker in workers]
        try:
            yield
        finally:
            for worker in workers:
                worker.stop()
            _, late = await asyncio.wait(running, timeout=seconds)
            if late:
                log.error("workers killed", count=len(late))
                for worker in workers:
                    worker.tell(signal.SIGKILL)


async def _all_serve(workers: list[Sibling], stop: asyncio.Event) -> bool:
    """Whether all do; returns as soon as nobody wants them to any more."""
    async with asyncio.TaskGroup() as tasks:
        serving = [tasks.create_task(worker.is_serving.wait()) for worker in workers]
        stopping = tasks.create_task(stop.wait())
        pending = {*serving}
        while pending and not stopping.done():
            _, pending = await asyncio.wait({*pending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            pending.discard(stopping)
        for task in (*serving, stopping):
            task.cancel()
    return not pending


@contextmanager
def _reserved(host: str, port: int) -> Iterator[tuple[str, int]]:
    """URL and port; bound, so that nobody else gets it, but not listening: connections go to the workers."""
    family, *_, address = sockets.getaddrinfo(host, port, type=sockets.SOCK_STREAM)[0]
    with sockets.socket(family, sockets.SOCK_STREAM) as listener:
        listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEPORT, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        host, port = listener.getsockname()[:2]
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}", port


def _environment(settings: Settings, index: int, port: int, nats_url: str) -> dict[str, str]:
    """Variables of a worker: those that differ win over those of the parent, and over the file."""
    base = port + 1 if settings.operator_port is None else settings.operator_port
    own = {
        "INSTANCE": f"{settings.instance or default_instance()}-{index}",
        "NATS_URL": nats_url,
        "PORT": str(port),
        "REUSE_PORT": "true",
        "OPERATOR_PORT": str(base + index if base else 0),
    }
    taken = {PREFIX + name for name in own}
    inherited = {name: value for name, value in os.environ.items() if name.upper() not in taken}
    return inherited | {PREFIX + name: value for name, value in own.items()}
