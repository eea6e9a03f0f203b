"""One line in a worker: what it brings in, what it leaves alone, and how it is taken back."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge.crew import install
from bridge.crew.arguments import OWN_OPTIONS, check_directory
from bridge.crew.link import connected
from bridge.crew.message import STREAM
from tests.crew.crewai_process import CrewProcess
from tests.crew.stored import Stored, everything

WITHOUT = """
import sys
for name in ("aiohttp", "crewai", "prometheus_client", "structlog", "uvloop"):
    sys.modules[name] = None
import bridge.crew
print(*(name for name in sys.modules if name.startswith("bridge.")))
"""


def test_the_worker_shore_needs_neither_crewai_nor_what_the_bridge_needs() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", WITHOUT], check=True, capture_output=True, text=True
    ).stdout

    assert {name.split(".")[1] for name in loaded.split()} == {"crew"}


def test_without_crewai_the_call_says_so_and_leaves_nothing_behind() -> None:
    code = """
import sys, threading
sys.modules["crewai"] = None
import bridge.crew
try:
    bridge.crew.install("nats://127.0.0.1:1")
except ModuleNotFoundError as error:
    print(error.name, threading.active_count())
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout.split()[0].split(".")[0] == "crewai"
    assert done.stdout.split()[1] == "1"


@pytest.mark.parametrize(
    "arguments",
    [
        {"nats_url": ""},
        {"nats_url": "http://nats:4222"},
        {"nats_url": "nats://nats:port"},
        {"nats_url": "nats://a,ws://b"},
        {"stream": ""},
        {"stream": "CREW EVENTS"},
        {"stream": "crew.events"},
        {"content": "everything"},
        {"crew_id": ""},
        {"max_queue_bytes": 0},
        {"max_event_bytes": -1},
        {"max_queue_bytes": 100_000, "max_event_bytes": 200_000},
        {"end_wait_seconds": -1},
        {"end_wait_seconds": float("inf")},
        {"exit_wait_seconds": float("nan")},
        {"nats_options": {"pasword": "p"}},
        {"nats_options": {"allow_reconnect": True}},
        {"spool_directory": Path(__file__)},
        {"spool_directory": Path(__file__) / "below"},
    ],
)
def test_an_argument_that_means_nothing_is_named(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(arguments))}"):
        install(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"nats_url": None},
        {"nats_url": ["nats://a"]},
        {"stream": None},
        {"source": 1},
        {"crew_id": 7},
        {"redact": "everything"},
        {"max_queue_bytes": "1 MiB"},
        {"max_event_bytes": 1e6},
        {"end_wait_seconds": None},
        {"exit_wait_seconds": "5"},
    ],
)
def test_an_argument_of_another_kind_is_named(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"^{next(iter(arguments))}"):
        install(**arguments)


def test_a_refused_server_is_not_quoted_for_it_may_have_a_password() -> None:
    with pytest.raises(ValueError, match="nats://host:4222") as refused:
        install("natz://bob:hunter2@nats")
    assert "hunter2" not in str(refused.value)


def test_a_directory_that_cannot_be_written_is_refused_and_one_that_can_be_made_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, _mode: path == tmp_path)  # Root may write everywhere.
    (tmp_path / "theirs").mkdir()

    check_directory(tmp_path / "made" / "later")
    with pytest.raises(ValueError, match="theirs"):
        check_directory(tmp_path / "theirs" / "spool")


@pytest.mark.parametrize("name", sorted(OWN_OPTIONS))
async def test_what_the_tap_sets_itself_is_no_option(name: str) -> None:
    with pytest.raises(TypeError, match=f"multiple values for keyword argument '{name}'"):
        async with connected("nats://127.0.0.1:1", STREAM, {name: 1}):
            pytest.fail("connected")


@pytest.fixture
def told(crew_process: CrewProcess, stream_url: str, source: str) -> dict[str, object]:
    """What the process says of itself; it says nothing else."""
    answers: dict[str, object] = json.loads(crew_process.run("habits", nats_url=stream_url, source=source))
    return answers


async def test_a_tap_is_a_good_guest(told: dict[str, object], stream_url: str, source: str) -> None:
    assert told == {
        "same": True,
        "others": [
            f"a tap is installed already, with another {names}: close() that one first"
            for names in ("nats_url", "content, source", "wrap", "redact", "nats_options")
        ],
        "own_handler": True,
        "flushed": True,
        "closed": True,
        "closed_in_a_child": True,
        "handler": True,
        "restored": True,
    }
    stored = await everything(stream_url, source)
    assert _of_the_run(stored) == {"job-7-1"}
    assert {"queue.cleared", "custom.asynchronous", "custom.wrapped_twice"} <= {m.type for m in stored}
    assert "custom.unheard" not in {m.type for m in stored}


def _of_the_run(stored: list[Stored]) -> set[str]:
    return {message.event["execution_id"] for message in stored if message.type.startswith("task.")}


TROUBLE = """
import sys
from pathlib import Path
from bridge.crew import EventPublisher  # As a worker does, which loads no more than this.
from bridge.crew.courier import Courier
from bridge.crew.outbox import Outbox

courier = Courier(
    Outbox(), "nats://127.0.0.1:1", stream="CREW_EVENTS", options=None,
    spool_directory=Path(sys.argv[1]), tick=lambda: None,
)
courier.start()
courier.flush(5)
courier.stop(5)
"""


def test_trouble_is_seen_where_nobody_has_set_up_logging(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TROUBLE, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)

    assert done.stdout == ""
    assert done.stderr.startswith("no connection to NATS: ")
    assert len(done.stderr.splitlines()) == 1
