"""The bench's own processes: receivers and a publisher, each with a pipe to who asks."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Final

from bridge.bench.publisher import Plan, Published, Publisher
from bridge.bench.receiver import Dial, Received, Receiver

_SPAWN: Final = multiprocessing.get_context("spawn")
_IDLE_SECONDS: Final = 0.05
_END_SECONDS: Final = 10.0


class ReceiverProcess:
    """A `Receiver` elsewhere; what is asked is begun at once, and its result fetched later."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def begin_connect(self, address: tuple[str, int], dials: list[Dial], sample_every: int) -> None:
        """Make connections; `result` is the seconds that it took."""
        self._pipe.send(("connect", (address, dials, sample_every)))

    def begin_receive(self, expected: int, seconds: float) -> None:
        """Count what comes from now on; `received` says it."""
        self._pipe.send(("receive", (expected, seconds)))
        self.result()

    def begin_storm(self, address: tuple[str, int], dials: list[Dial], expected: int, seconds: float) -> None:
        """Connect, and count what comes from the first connection on; `received` says it."""
        self._pipe.send(("connect_and_receive", (address, dials, expected, seconds)))

    def begin_disconnect(self) -> None:
        """End all connections."""
        self._pipe.send(("disconnect", ()))

    def result(self) -> Any:
        """What came of the last thing that was begun; its failure is raised here."""
        return _answer(self._pipe)

    def received(self) -> Received:
        """What came of `begin_receive` or `begin_storm`."""
        result = self.result()
        assert isinstance(result, Received)  # noqa: S101 - the pipe has no types
        return result


class PublisherProcess:
    """A `Publisher` elsewhere."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def run(self, plan: Plan) -> Published:
        """Publish, and wait for the end of it."""
        self._pipe.send(plan)
        result = _answer(self._pipe)
        assert isinstance(result, Published)  # noqa: S101 - the pipe has no types
        return result


def _answer(pipe: Connection) -> Any:
    try:
        result = pipe.recv()
    except EOFError:
        raise ChildProcessError("a process of the load has ended; is memory short?") from None
    if isinstance(result, Exception):
        raise result
    return result


@contextmanager
def receivers(count: int, niceness: int = 0) -> Iterator[list[ReceiverProcess]]:
    """So many receivers, which end with this; ``niceness`` lets other processes go first."""
    pipes, processes = zip(*(_started(_receive, niceness) for _ in range(count)), strict=True)
    with _ended(pipes, processes):
        yield [ReceiverProcess(pipe) for pipe in pipes]


@contextmanager
def publisher(url: str, *, is_stream: bool) -> Iterator[PublisherProcess]:
    """A publisher to the nats-server at ``url``, which ends with this."""
    pipe, process = _started(_publish, url, is_stream)
    with _ended([pipe], [process]):
        yield PublisherProcess(pipe)


def _started(target: Any, *arguments: Any) -> tuple[Connection, Any]:
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=target, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    return ours, process


@contextmanager
def _ended(pipes: Sequence[Connection], processes: Sequence[Any]) -> Iterator[None]:
    """All have ended when this has: by themselves or, where it is broken off, in the middle of their work."""
    try:
        yield
    except BaseException:
        for process in processes:
            process.terminate()
        raise
    finally:
        for pipe, process in zip(pipes, processes, strict=True):
            pipe.close()
            process.join(_END_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()


def _receive(pipe: Connection, niceness: int) -> None:
    os.nice(niceness)
    receiver = Receiver()
    with suppress(EOFError, ConnectionError, KeyboardInterrupt):
        while True:
            if not pipe.poll(0):
                receiver.rest(_IDLE_SECONDS)
                continue
            name, arguments = pipe.recv()
            if name == "receive":
                pipe.send(None)
            try:
                pipe.send(getattr(receiver, name)(*arguments))
            except Exception as error:
                pipe.send(error)


def _publish(pipe: Connection, url: str, is_stream: bool) -> None:
    made = Publisher(url, is_stream=is_stream)
    with suppress(EOFError, ConnectionError, KeyboardInterrupt):
        while True:
            plan = pipe.recv()
            try:
                pipe.send(made.run(plan))
            except Exception as error:
                pipe.send(error)
    made.close()
