"""Several bridges on one port: each with a port for operators, one parent that watches over them."""

import asyncio
import json
import os
import re
import signal
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bridge.crew import EventPublisher
from contracts import create_task_event
from tests.client import PREFIX, Client, Json
from tests.processes import Process, free_ports, process, run
from tests.waiting import eventually, soon


@pytest.fixture
def operators() -> int:
    """Where the operator ports begin."""
    return free_ports(3)


@pytest.fixture
def two(tmp_path: Path, operators: int) -> Iterator[Process]:
    """Two workers, and a nats-server of their parent's."""
    settings = {
        "instance": "w",
        "operator_port": operators,
        "drain_seconds": 1,
        "data_dir": tmp_path / "data",
    }
    with process(tmp_path, "serve", "--workers", "2", port=0, **settings) as serving:
        yield serving


def children(serving: Process) -> list[int]:
    """The processes of the workers."""
    pid = serving.popen.pid
    found = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [child for child in found if b"bridge" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")]


def alive(processes: list[int]) -> list[int]:
    return [pid for pid in processes if Path(f"/proc/{pid}").exists()]


def asked(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return str(answer.read().decode())


async def complete(bridge: Client, instances: list[str]) -> Json | None:
    _, body = await bridge.get(f"{PREFIX}/connections")
    cluster = body["cluster"]
    return body if cluster["answered"] == instances and not cluster["missing"] else None


ALL = ["w-0", "w-1"]


async def test_workers_share_the_port_and_are_administered_as_one(
    two: Process, operators: int, new_id: str
) -> None:
    bridge = await Client.of(await asyncio.to_thread(two.bridge))
    await soon(lambda: complete(bridge, ALL), 30)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        listeners = [await enter(bridge.connect(f"executions/{new_id}")) for _ in range(24)]
        body = await soon(lambda: complete(bridge, ALL))
        instances = body["data"]["uptime_statistics"]["instances"]
        served = [one["active_connections"] for one in instances]
        assert min(served) > 0
        assert sum(served) == body["data"]["active_connections"] == 24
        publisher = await enter(EventPublisher(bridge.nats_url))
        await publisher.publish(create_task_event("t1", "completed", execution_id=new_id))
        for listener in listeners:
            assert [event["task_id"] for event in await listener.events(1)] == ["t1"]
        numbers = [await asyncio.to_thread(asked, operators + index, "/metrics") for index in range(2)]
    found = [re.search(r'crew_bridge_connections\{endpoint="executions"\} (\d+)', text) for text in numbers]
    assert [int(one[1]) for one in found if one] == served
    assert json.loads(await asyncio.to_thread(asked, operators + 1, "/healthz")) == {"status": "ok"}

    before = children(two)
    os.kill(before[1], signal.SIGKILL)
    await asyncio.to_thread(eventually, lambda: len(set(children(two)) - set(before)) == 1)
    assert "worker died" in two.errors
    await soon(lambda: complete(bridge, ALL), 30)
    assert await asyncio.to_thread(two.ended) == 0
    assert alive(before) == []
    assert "Traceback" not in two.errors


async def test_workers_do_not_outlive_a_parent_that_is_killed(two: Process) -> None:
    await asyncio.to_thread(two.bridge)
    workers = children(two)
    assert len(workers) == 2
    assert await asyncio.to_thread(two.ended, signal.SIGKILL) == -signal.SIGKILL

    await asyncio.to_thread(eventually, lambda: not alive(workers))


async def test_one_that_does_not_end_in_time_is_killed(two: Process) -> None:
    await asyncio.to_thread(two.bridge)
    workers = children(two)
    os.kill(workers[0], signal.SIGSTOP)

    assert await asyncio.to_thread(two.ended) == 1
    assert alive(workers) == []


def test_a_worker_that_cannot_start_ends_all(tmp_path: Path, nats_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("serve", "--workers", "2", nats_url=nats_url, port=0, operator_port=taken.getsockname()[1])

    assert done.returncode == 1
    assert "in use" in done.stderr
    assert "Crew Bridge:" not in done.stdout


async def test_a_port_that_is_taken_is_named(bridge: Client, nats_url: str) -> None:
    port = bridge.url.rpartition(":")[2]
    done = await asyncio.to_thread(run, "serve", "--workers", "2", nats_url=nats_url, port=port)

    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr


@pytest.mark.parametrize("count", ["0", "many"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(count: str) -> None:
    done = run("serve", "--workers", count)

    assert done.returncode == 2
    assert "must be a number from 1 to 256" in done.stderr
