"""NATS is not there, or goes away: the crew does not notice, and nothing is lost."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.crew.crewai_process import CrewProcess
from tests.crew.stored import everything
from tests.crew.truth import assert_complete, assert_dense, assert_in_order
from tests.nats_server import NatsServer
from tests.waiting import eventually

Command = Callable[[str], Any]


@pytest.fixture
def worker(crew_process: CrewProcess, mortal_server: NatsServer, source: str) -> Iterator[Command]:
    """A worker whose server has had a port and a stream, and is down."""
    mortal_server.start()
    mortal_server.stop()
    process = crew_process.start("worker", nats_url=mortal_server.url, source=source)
    assert process.stdin
    assert process.stdout
    stdin, stdout = process.stdin, process.stdout

    def command(name: str) -> Any:
        stdin.write(f"{name}\n")
        stdin.flush()
        line = stdout.readline()
        assert line, process.stderr.read()[-4000:] if process.stderr else ""
        return json.loads(line)

    yield command
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors[-4000:]


async def test_whatever_happens_to_nats_the_stream_holds_every_event_in_the_end(
    worker: Command, crew_process: CrewProcess, mortal_server: NatsServer, source: str
) -> None:
    """One process for all of it, since starting CrewAI takes seconds."""
    # NATS is down at the start, and comes later.
    assert worker("install") < 0.5
    worker("kickoff")  # The first warms CrewAI up.
    assert worker("kickoff") < 1.0
    mortal_server.start()
    worker("kickoff")
    # The stream comes later still: the bridge makes it.
    await mortal_server.make_stream()
    assert worker("flush")

    # NATS is killed in the middle of the work, more than once, and comes back.
    for _ in range(2):
        worker("begin")
        _more(worker)
        mortal_server.kill()
        _more(worker)
        mortal_server.start()
        worker("halt")
        assert worker("flush")

    # NATS is gone and does not come back: this process ends, the next one delivers.
    mortal_server.kill()
    worker("kickoff")
    assert worker("kickoff") < 1.0
    assert worker("close")["not_recorded"] == 0
    assert list(crew_process.spool.glob("*.sqlite"))
    mortal_server.start()
    worker("install")
    eventually(lambda: not list(crew_process.spool.glob("*.sqlite")))
    worker("close")

    emitted_events = json.loads(crew_process.truth.read_text())
    stored = await everything(mortal_server.url, source)
    assert_complete(emitted_events, stored)
    assert_dense(stored)
    assert_in_order(emitted_events, stored)


def _more(worker: Command, events: int = 200) -> None:
    """Return when the worker has emitted so many more."""
    enough = worker("emitted") + events
    eventually(lambda: worker("emitted") > enough)
