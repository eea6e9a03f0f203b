"""One line in a worker: what it brings in, what it leaves alone, and how it is taken back."""

import json
import subprocess
import sys
from typing import Any

import pytest

from bridge.crew import install
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
    "arguments", [{"content": "everything"}, {"max_queue_bytes": 0}, {"max_event_bytes": -1}]
)
def test_an_argument_that_means_nothing_is_named(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        install("nats://127.0.0.1:1", **arguments)


@pytest.fixture
def told(crew_process: CrewProcess, stream_url: str, source: str) -> dict[str, object]:
    """What the process says of itself; it says nothing else."""
    answers: dict[str, object] = json.loads(crew_process.run("habits", nats_url=stream_url, source=source))
    return answers


async def test_a_tap_is_a_good_guest(told: dict[str, object], stream_url: str, source: str) -> None:
    assert told == {
        "same": True,
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
