"""A bridge whose output nobody reads any more serves on, and ends when it is told to."""

import asyncio
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.crew import EventPublisher
from bridge.service import Running
from contracts import create_task_event
from tests.client import Client
from tests.processes import COMMAND, environment
from tests.waiting import eventually

_PORT = re.compile(r"\bport\D+(\d+)")


@contextmanager
def _piped(
    directory: Path, *arguments: str, stderr: int, **settings: object
) -> "Iterator[subprocess.Popen[str]]":
    """The command with its output in a pipe, as before ``| head``."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment({"port": 0, "data_dir": directory / "data"} | settings),
        text=True,
        stdout=subprocess.PIPE,
        stderr=stderr,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("form", ["console", "json"])
async def test_a_bridge_serves_on_without_a_reader_of_its_output_and_its_log(
    tmp_path: Path, nats_url: str, new_id: str, form: str
) -> None:
    event = create_task_event("t1", "completed", execution_id=new_id)
    with _piped(tmp_path, "serve", stderr=subprocess.PIPE, log_format=form, nats_url=nats_url) as serving:
        assert serving.stdout
        assert serving.stderr
        serving.stdout.close()
        port = next(found[1] for line in serving.stderr if (found := _PORT.search(line)))
        serving.stderr.close()
        bridge = await Client.of(Running(f"http://127.0.0.1:{port}", nats_url))

        async with bridge.connect(f"executions/{new_id}") as listener, EventPublisher(nats_url) as publisher:
            await publisher.publish(event)
            assert (await listener.message())["event_id"] == event.event_id

        serving.terminate()
        assert await asyncio.to_thread(serving.wait, 15) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_plays_on_without_a_reader_until_it_is_told_to_end(
    tmp_path: Path, number: signal.Signals
) -> None:
    """It still has to say where its numbers are, if Prometheus is installed."""
    with _piped(tmp_path, "demo", stderr=subprocess.STDOUT) as playing:
        assert playing.stdout
        url = next(line.split()[1] for line in playing.stdout if line.startswith("  watch: "))
        playing.stdout.close()
        shown = [*COMMAND, "tail", "execution_research-1", "--url", url, "--since", "0"]
        with subprocess.Popen(shown, env=environment({}), text=True, stdout=subprocess.PIPE) as tailing:
            assert tailing.stdout
            try:
                eventually(lambda: "tool.finished" in tailing.stdout.readline() if tailing.stdout else None)
            finally:
                tailing.kill()

        playing.send_signal(number)
        assert playing.wait(15) == 0


def test_workers_serve_on_without_a_reader(tmp_path: Path, nats_url: str) -> None:
    with _piped(
        tmp_path, "serve", "--workers", "2", stderr=subprocess.STDOUT, nats_url=nats_url, operator_port=0
    ) as serving:
        assert serving.stdout
        assert any(line.startswith("Crew Bridge: ") for line in serving.stdout)
        serving.stdout.close()

        serving.terminate()
        assert serving.wait(15) == 0
