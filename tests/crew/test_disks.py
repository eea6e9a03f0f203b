"""Whatever a disk answers: what was called safe is published, in its order and once; the rest is told."""

import asyncio
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.crew import backlog, spool
from bridge.crew.backlog import Backlog
from bridge.crew.courier import Courier
from bridge.crew.message import Message
from bridge.crew.spool import Spool
from tests.crew.stored import everything
from tests.crew.test_courier import Hire, hire, tasks
from tests.crew.test_spool import large, messages, read_all
from tests.nats_server import NatsServer
from tests.waiting import eventually

__all__ = ["hire"]

_ROOM = 512 * 1024
_EVENTS, _STEP = 1_400, 100
_WORKER = """
import json, resource, sys
from pathlib import Path
from bridge.crew.courier import Courier
from bridge.crew.message import STREAM, Message
from bridge.crew.outbox import Outbox
from contracts import create_task_event
url, directory, room = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
if room:
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
outbox = Outbox()
courier = Courier(outbox, url, stream=STREAM, options=None, spool_directory=directory, tick=lambda: None)
courier.start()
for line in sys.stdin:
    first, last = map(int, line.split())
    for n in range(first, last):
        outbox.put(Message.of(create_task_event(f"t{n}", "completed", execution_id="e", result="x" * 300)))
    print(json.dumps([last, courier.flush(5)]), flush=True)
courier.stop(10)
print(json.dumps(courier.accounts.losses()), flush=True)
"""

Write = Callable[[int, int], bool]


@contextmanager
def mounted(directory: Path, size: int) -> Iterator[Callable[[str], None]]:
    """A file system of its own; what it gives mounts it again with other options."""
    directory.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here: it takes root, and the right to")
    try:
        yield lambda options: _run("mount", "-o", f"remount,{options}", str(directory))
    finally:
        _run("umount", "-l", str(directory))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(params=["a full disk", "a limit for files"])
def small_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A directory that has room for about a thousand events, and the limit that makes it so, or 0."""
    directory = tmp_path / "spool"
    if request.param == "a limit for files":
        yield directory, _ROOM
        return
    with mounted(directory, _ROOM):
        yield directory, 0


@pytest.fixture
def worker(mortal_server: NatsServer, small_place: tuple[Path, int]) -> Iterator[subprocess.Popen[str]]:
    """A process whose server has had a port, and is down."""
    mortal_server.start()
    mortal_server.stop()
    directory, room = small_place
    command = [sys.executable, "-c", _WORKER, mortal_server.url, str(directory), str(room)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def _tell(worker: subprocess.Popen[str], first: int, last: int) -> bool:
    """Have events written; whether all so far are said to be safe."""
    assert worker.stdin
    assert worker.stdout
    worker.stdin.write(f"{first} {last}\n")
    worker.stdin.flush()
    return bool(json.loads(worker.stdout.readline())[1])


def _fill(worker: subprocess.Popen[str]) -> int:
    """Write until the disk takes no more; how many events were safe."""
    safe = 0
    for first in range(0, _EVENTS, _STEP):
        if _tell(worker, first, first + _STEP):
            assert safe == first, "what comes later is said to be safe, what came before it is not"
            safe = first + _STEP
    assert 0 < safe < _EVENTS
    return safe


def _end(worker: subprocess.Popen[str]) -> dict[str, int]:
    out, _ = worker.communicate(timeout=60)
    losses: dict[str, int] = json.loads(out.splitlines()[-1])
    return losses


async def test_a_worker_whose_disk_is_full_publishes_all_when_nats_is_back(
    worker: subprocess.Popen[str], mortal_server: NatsServer, small_place: tuple[Path, int]
) -> None:
    _fill(worker)
    mortal_server.start()
    await mortal_server.make_stream()
    losses = _end(worker)

    assert tasks(await everything(mortal_server.url)) == [f"t{n}" for n in range(_EVENTS)]
    assert sum(losses.values()) == 0
    assert not list(small_place[0].glob("*.sqlite"))


async def test_of_a_worker_that_is_killed_on_a_full_disk_the_next_publishes_what_was_safe(
    worker: subprocess.Popen[str], mortal_server: NatsServer, small_place: tuple[Path, int], hire: Hire
) -> None:
    safe = _fill(worker)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    mortal_server.start()
    await mortal_server.make_stream()
    _, courier = hire(mortal_server.url)
    eventually(lambda: not list(small_place[0].glob("*.sqlite")))
    courier.stop(5)

    stored = tasks(await everything(mortal_server.url))
    assert len(stored) >= safe
    assert stored == [f"t{n}" for n in range(len(stored))]


async def test_a_worker_that_ends_on_a_full_disk_without_nats_says_what_is_lost(
    worker: subprocess.Popen[str], mortal_server: NatsServer, small_place: tuple[Path, int], hire: Hire
) -> None:
    _fill(worker)
    losses = _end(worker)
    mortal_server.start()
    await mortal_server.make_stream()
    _, courier = hire(mortal_server.url)
    eventually(lambda: not list(small_place[0].glob("*.sqlite")))
    courier.stop(5)

    stored = tasks(await everything(mortal_server.url))
    assert losses["not_spooled"] == _EVENTS - len(stored) > 0
    assert stored == [f"t{n}" for n in range(len(stored))]


def test_without_nats_a_crowd_of_events_is_on_disk_at_once_and_none_is_left_out_at_the_end(
    hire: Hire, tmp_path: Path
) -> None:
    outbox, courier = hire("nats://127.0.0.1:1")
    for message in _named("t", 10_000):
        outbox.put(message)
    assert courier.flush(5)
    for message in _named("late", 10_000):
        outbox.put(message)
    courier.stop(5)

    assert (courier.alive, len(outbox)) == (False, 0)
    (left,) = Spool.left_behind(tmp_path / "spool")
    assert left.waiting == 20_000
    left.close()


async def test_what_is_left_on_a_disk_that_became_read_only_is_published_once(
    mortal_server: NatsServer, hire: Hire, tmp_path: Path
) -> None:
    mortal_server.start()
    await mortal_server.make_stream(duplicate_window=0.1)
    with mounted(tmp_path / "spool", 2 * _ROOM) as mount_again:
        left = Spool.fresh(tmp_path / "spool")
        assert left.append(_named("t", 600))
        left.close()
        mount_again("ro")
        for name in "abc":
            outbox, courier = hire(mortal_server.url)
            await _all_published(courier)
            outbox.put(_named(name, 1)[0])
            assert await asyncio.to_thread(courier.flush, 10)
            courier.stop(5)

    assert tasks(await everything(mortal_server.url)) == [*(f"t{n}" for n in range(600)), "a0", "b0", "c0"]


async def _all_published(courier: Courier) -> None:
    async with asyncio.timeout(20):
        while courier.accounts.published < 600:  # noqa: ASYNC110 - a thread publishes
            await asyncio.sleep(0.02)


def _named(name: str, count: int) -> list[Message]:
    payload = b'{"data":{"task_id":"%s"},"task_id":"%s"}'
    return [
        Message(f"{name}{n}", "task.progress", payload % (2 * (f"{name}{n}".encode(),)), short_lived=False)
        for n in range(count)
    ]


def _database(spool: Spool) -> sqlite3.Connection:
    assert spool._file is not None
    return spool._file._database


def test_what_is_published_and_cannot_be_deleted_is_not_read_again(tmp_path: Path) -> None:
    """As on a disk that is full, or became read-only."""
    spool = Spool.fresh(tmp_path)
    spool.append(messages("a", "b", "c"))
    _database(spool).execute("PRAGMA query_only=ON")

    spool.remove(spool.first(2)[0])
    assert (spool.first(2)[1], spool.waiting, spool.lost) == (messages("c"), 1, 0)
    assert not spool.append(messages("d"))
    _database(spool).execute("PRAGMA query_only=OFF")
    assert spool.append(messages("d"))
    assert read_all(spool) == ["c", "d"]
    spool.close()
    assert not list(tmp_path.glob("*.sqlite*"))


def test_what_does_not_fit_is_not_kept_in_part(tmp_path: Path) -> None:
    spool = Spool.fresh(tmp_path)
    assert spool.append(large(10))
    _database(spool).execute("PRAGMA max_page_count=20")

    assert not spool.append(large(100))
    assert (spool.waiting, spool.lost) == (10, 0)
    assert read_all(spool) == [f"m{n}" for n in range(10)]
    assert spool.append(messages("after"))
    spool.close()
    (next_one,) = Spool.left_behind(tmp_path)
    assert read_all(next_one) == ["after"]
    next_one.close()


def test_without_descriptors_nothing_is_called_safe_and_nothing_is_lost(tmp_path: Path) -> None:
    spool, left = Spool.fresh(tmp_path), Spool.fresh(tmp_path)
    assert left.append(messages("left"))
    left.close()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")), hard))  # noqa: PTH208
    held: list[int] = []
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        assert not spool.append(messages("a"))
        assert Spool.left_behind(tmp_path) == []
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert spool.append(messages("a"))
    (found,) = Spool.left_behind(tmp_path)
    assert (read_all(found), read_all(spool)) == (["left"], ["a"])
    for each in (found, spool):
        each.close()


@pytest.mark.parametrize("directory_too", [False, True])
def test_what_is_deleted_while_it_is_open_is_written_anew(tmp_path: Path, *, directory_too: bool) -> None:
    directory = tmp_path / "spool"
    spool = Spool.fresh(directory)
    assert spool.append(large(1_500))
    spool.remove(spool.first(200)[0])
    for path in directory.iterdir():
        path.unlink()
    if directory_too:
        directory.rmdir()

    assert spool.holds()
    assert spool.append(messages("after"))
    spool.close()
    (next_one,) = Spool.left_behind(directory)
    assert read_all(next_one) == [*(f"m{n}" for n in range(200, 1_500)), "after"]
    next_one.close()


def test_what_is_deleted_and_cannot_be_written_anew_is_not_safe_and_still_published(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    spool = Spool.fresh(directory)
    assert spool.append(messages("a", "b"))
    directory.rename(tmp_path / "moved")
    directory.write_text("no directory")

    assert not spool.holds()
    assert not spool.append(messages("c"))
    assert read_all(spool) == ["a", "b"]
    assert spool.lost == 0
    spool.close()


def test_what_cannot_be_read_now_is_read_later_and_holds_up_nothing_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = Backlog(tmp_path)
    assert some.own.append(messages("a"))
    stuck = some.own
    _database(stuck).set_progress_handler(lambda: 1, 1)

    assert stuck.first(10)[1] == []
    assert (some.next(), some.waiting, some.lost) == (None, 1, 0), "it is not its turn, and not lost"
    monkeypatch.setattr(spool, "TRY_SECONDS", 0)
    assert some.next() is None
    assert some.own is not stuck
    assert some.own.append(messages("b"))
    assert some.next() is some.own

    _database(stuck).set_progress_handler(None, 1)
    monkeypatch.setattr(stuck, "_pause_until", 0)
    assert read_all(some.own) == ["b"]
    assert some.next() is stuck
    assert read_all(stuck) == ["a"]
    some.close()
    assert not list(tmp_path.glob("*.sqlite*"))


def test_what_is_left_meanwhile_is_found_within_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = Backlog(tmp_path)
    some.search()
    left = Spool.fresh(tmp_path)
    assert left.append(messages("a"))
    left.close()
    some.search()
    assert some.next() is None

    monkeypatch.setattr(backlog, "_SEARCH_SECONDS", 0)
    monkeypatch.setattr(some, "_search_at", 0)
    some.search()
    found: Any = some.next()
    assert read_all(found) == ["a"]
    some.passed(found)
    assert some.waiting == 0
    some.close()
