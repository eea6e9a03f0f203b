"""However a process ends, what its crews did is in the stream."""

import asyncio
import json
from dataclasses import dataclass

import pytest

from bridge.crew.courier import Courier
from bridge.crew.message import STREAM
from bridge.crew.outbox import Outbox
from tests.crew.crewai_process import CrewProcess
from tests.crew.stored import Stored, everything
from tests.crew.truth import assert_dense
from tests.nats_server import NatsServer
from tests.waiting import eventually


@dataclass(frozen=True)
class Endings:
    """All endings, each of a process of its own."""

    statuses: dict[str, int]
    stored: dict[str, list[Stored]]

    def types(self, name: str) -> list[str]:
        return [message.type for message in self.stored[name]]


@pytest.fixture(scope="module")
def endings(crewai_python: str, stream_url: str, tmp_path_factory: pytest.TempPathFactory) -> Endings:
    process = CrewProcess(crewai_python, tmp_path_factory.mktemp("endings"))
    statuses = json.loads(process.run("endings", nats_url=stream_url, source="ending").splitlines()[-1])
    stored = asyncio.run(everything(stream_url))
    return Endings(
        statuses, {name: [m for m in stored if m.event["source"] == f"ending-{name}"] for name in statuses}
    )


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("normal", 0),
        ("sys_exit", 3),
        ("uncaught", 1),
        ("sigint", 1),
        ("sigterm", -15),
        ("sigterm_with_telemetry", 0),
        ("os_exit", 7),
        ("kill_9", -9),
    ],
)
def test_a_process_ends_as_it_would_without_the_tap(endings: Endings, name: str, status: int) -> None:
    # Python ends a script that an uncaught KeyboardInterrupt leaves by the signal itself.
    assert endings.statuses[name] in ({status, -2} if name == "sigint" else {status})


@pytest.mark.parametrize("name", ["normal", "uncaught", "os_exit", "kill_9"])
def test_nothing_is_lost_once_kickoff_has_returned(endings: Endings, name: str) -> None:
    assert endings.types(name)[0] == "execution.started"
    assert endings.types(name)[-1] == "execution.completed"
    assert_dense(endings.stored[name])


@pytest.mark.parametrize("name", ["sys_exit", "sigint", "sigterm", "sigterm_with_telemetry"])
def test_a_run_that_its_process_leaves_open_fails(endings: Endings, name: str) -> None:
    last = endings.stored[name][-1]

    assert last.type == "execution.failed"
    assert last.event["data"]["error_type"] == "ProcessEnded"
    assert last.event["event_id"].endswith(":execution.failed")
    assert "llm.call_completed" in endings.types(name)
    assert_dense(endings.stored[name])


def test_no_event_is_left_on_disk_by_a_process_that_reached_nats(
    endings: Endings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert not list(tmp_path_factory.getbasetemp().glob("endings*/spool/*.sqlite"))


async def test_what_ends_without_nats_is_delivered_by_the_next_to_start(
    crew_process: CrewProcess, mortal_server: NatsServer
) -> None:
    mortal_server.start()
    await mortal_server.make_stream()
    mortal_server.kill()
    names = ("normal", "sigterm", "os_exit", "kill_9")
    said = crew_process.run("endings", *names, nats_url=mortal_server.url, source="down")
    assert list(json.loads(said.splitlines()[-1]).values()) == [0, -15, 7, -9]

    mortal_server.start()
    courier = Courier(
        Outbox(),
        mortal_server.url,
        stream=STREAM,
        options=None,
        spool_directory=crew_process.spool,
        tick=lambda: None,
    )
    courier.start()
    eventually(lambda: not list(crew_process.spool.glob("*.sqlite")))
    courier.stop(5)

    stored = await everything(mortal_server.url)
    assert_dense(stored)
    for name in names:
        types = [message.type for message in stored if message.event["source"] == f"down-{name}"]
        assert types[0] == "execution.started"
        assert types[-1] == ("execution.failed" if name == "sigterm" else "execution.completed")


async def test_a_forked_child_delivers_its_own_runs_and_its_parent_goes_on(
    crew_process: CrewProcess, stream_url: str
) -> None:
    crew_process.run("endings", "forked", nats_url=stream_url, source="family")

    stored = await everything(stream_url, "family-forked")
    assert [m.type for m in stored].count("custom.boot") == 1
    assert [m.type for m in stored].count("execution.completed") == 2
    assert len({m.event["execution_id"] for m in stored if "execution_id" in m.event}) == 2
    assert len({m.worker for m in stored}) == 2
    assert_dense(stored)
