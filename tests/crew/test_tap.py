"""The tap by itself: what a process can do with it, and what the process's signals do."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from bridge.crew.draft import Policy
from bridge.crew.endings import Sigterm
from bridge.crew.ledger import Ledger
from bridge.crew.message import STREAM
from bridge.crew.pulse import Pulse
from bridge.crew.tap import Delivery, Tap
from contracts import create_queue_event
from tests.crew.bench import GRAMMAR, Crew, event
from tests.crew.stored import everything
from tests.nats_server import NatsServer
from tests.waiting import until

FIRST = """
import os, signal
from bridge.crew.endings import Sigterm
print(os.getpid(), flush=True)
Sigterm(lambda die: die()).install()
os.kill(os.getpid(), signal.SIGTERM)
print("it goes on", flush=True)
"""


@pytest.fixture
def tap(stream_url: str, source: str, tmp_path: Path) -> Iterator[Tap]:
    made = new_tap(stream_url, source, tmp_path)
    yield made
    made.close()


def new_tap(url: str, source: str, directory: Path) -> Tap:
    delivery = Delivery(
        url,
        STREAM,
        None,
        directory / "spool",
        max_queue_bytes=1_000_000,
        end_wait_seconds=5,
        exit_wait_seconds=5,
    )
    return Tap(delivery, Policy(source=source), Ledger(lambda: "e-" + source, GRAMMAR))


async def test_when_an_execution_has_ended_its_events_are_stored(
    tap: Tap, stream_url: str, source: str
) -> None:
    crew, start = Crew(), event("crew_kickoff_started")
    tap.record(crew, start)
    tap.record(crew, event("crew_kickoff_completed", None, start, output=SimpleNamespace(raw="done")))

    stored = await everything(stream_url, source)
    assert [message.type for message in stored] == [
        "execution.started",
        "crew.created",
        "execution.completed",
    ]
    assert stored[-1].event["data"]["result"] == "done"


async def test_a_flush_includes_chunks_and_the_applications_own_events(
    tap: Tap, stream_url: str, source: str
) -> None:
    tap.record(None, event("llm_stream_chunk", call_id="c1", chunk="x"))
    tap.publish(create_queue_event("inbox", "cleared", source=source))
    assert tap.flush(10)

    assert {m.type for m in await everything(stream_url, source)} == {"llm.chunk", "queue.cleared"}
    statistics = tap.statistics()
    assert statistics.pop("published") == 2
    assert set(statistics.values()) == {0}


async def test_what_is_on_its_way_is_counted_as_waiting(
    mortal_server: NatsServer, source: str, tmp_path: Path
) -> None:
    mortal_server.start()
    await mortal_server.make_stream()
    tap = new_tap(mortal_server.url, source, tmp_path)
    tap.publish(create_queue_event("inbox", "cleared"))
    assert tap.flush(10)
    mortal_server.suspend()
    for _ in range(3):
        tap.publish(create_queue_event("inbox", "cleared"))
    await until(lambda: not len(tap._outbox))

    assert tap.statistics()["waiting"] == 3
    assert tap.statistics()["waiting_bytes"] > 300
    mortal_server.resume()
    assert tap.flush(10)
    assert (tap.statistics()["published"], tap.statistics()["waiting"]) == (4, 0)
    tap.close()


async def test_everything_that_a_worker_publishes_names_the_worker_that_its_pulse_is_of(
    mortal_server: NatsServer, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.crew.tap.Pulse", partial(Pulse, 0.05))
    mortal_server.start()
    await mortal_server.make_stream()
    tap = new_tap(mortal_server.url, source, tmp_path)
    tap.record(Crew(), event("crew_kickoff_started"))
    tap.record(None, event("llm_stream_chunk", call_id="c1", chunk="x"))
    tap.publish(create_queue_event("inbox", "cleared", metadata={"mine": 1}))
    await until(lambda: tap.statistics()["published"] >= 5)
    tap.close()

    stored = await everything(mortal_server.url)
    (worker,) = {message.worker for message in stored}
    pulses = [m for m in stored if m.type == "system.health_check"]
    assert {"crew.created", "llm.chunk", "queue.cleared"} < {m.type for m in stored}
    assert {m.event["data"]["instance"] for m in pulses} == {worker}
    assert next(m for m in stored if m.type == "queue.cleared").event["metadata"]["mine"] == 1


async def test_a_tap_that_follows_one_that_was_closed_is_another_worker(
    stream_url: str, source: str, tmp_path: Path
) -> None:
    for _ in range(2):
        tap = new_tap(stream_url, source, tmp_path)
        tap.record(None, event("llm_stream_chunk", call_id="c1", chunk="x"))
        tap.close()

    assert len({message.worker for message in await everything(stream_url, source)}) == 2


async def test_what_was_recorded_before_closing_is_stored(tap: Tap, stream_url: str, source: str) -> None:
    detached: list[str] = []
    tap.attach(lambda: detached.append("!"))
    tap.record(None, event("llm_stream_chunk", call_id="c1", chunk="x"))
    tap.close()

    assert tap.closed
    assert detached
    assert [m.type for m in await everything(stream_url, source)] == ["llm.chunk"]


def test_what_cannot_be_recorded_raises_nothing(tap: Tap) -> None:
    tap.record(None, None)

    assert tap.statistics()["not_recorded"] == 1


def test_sigterm_is_handled_once_and_then_left_to_its_default() -> None:
    endings: list[Callable[[], None]] = []
    sigterm = Sigterm(endings.append)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        sigterm.install()
        os.kill(os.getpid(), signal.SIGTERM)
        assert len(endings) == 1
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        sigterm.remove()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_sigterm_is_left_alone_outside_the_main_thread_and_where_it_has_a_handler() -> None:
    own = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        sigterm = Sigterm(lambda die: die())
        sigterm.install()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        thread = threading.Thread(target=sigterm.install)
        thread.start()
        thread.join()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        sigterm.remove()
    finally:
        signal.signal(signal.SIGTERM, own)


def test_the_first_process_of_a_container_ends_by_sigterm_as_well() -> None:
    contained = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    if not shutil.which("unshare") or subprocess.run([*contained, "true"], check=False).returncode:
        pytest.skip("no container can be made here")

    ended = subprocess.run(
        [*contained, sys.executable, "-c", FIRST], check=False, capture_output=True, text=True
    )
    assert (ended.stdout, ended.returncode) == ("1\n", 128 + signal.SIGTERM)
