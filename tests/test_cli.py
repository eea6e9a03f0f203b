"""The command, as somebody types it."""

import asyncio
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest

from bridge.crew import EventPublisher
from bridge.service import Running
from contracts import create_task_event
from tests.client import PREFIX, Client
from tests.nats_server import NatsServer
from tests.processes import COMMAND, Process, environment, free_ports, process, run
from tests.waiting import eventually, until


def test_it_tells_its_version() -> None:
    done = run("--version")

    assert (done.returncode, done.stdout.strip()) == (0, version("crew-bridge"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "COMMAND"),
        (("dance",), "invalid choice: 'dance'"),
        (("publish",), "type"),
        (("publish", "task.completed", "--data", "[1]"), "must be a JSON object"),
        (("publish", "task.completed", "--data", "{"), "must be a JSON object"),
        (("publish", "task.danced"), "not a valid event"),
        (("publish", "task.completed", "--nats", "nats://host:port"), "must name servers like nats://"),
        (("publish", "task.completed", "--timeout", "0"), "must be a number of seconds"),
        (("publish", "task.completed", "--timeout", "soon"), "must be a number of seconds"),
        (("publish", "task.failed", "--data", '{"error": 7}'), "not a valid event: data.error"),
        (("publish", "task.completed", "--execution-id", "a b"), "not a valid event: execution_id"),
        (("tail", "--since", "-1"), "--since: must be a position, as the bridge says it, or a seq, from 0"),
        (("tail", "--since", "yesterday"), "--since: must be a position"),
        (("tail", "--since", "8-"), "--since: must be a position"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple[str, ...], words: str) -> None:
    done = run(*arguments)

    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_or_unknown_setting_is_named() -> None:
    unknown, bad = run("serve", prot=1), run("serve", port=70000)
    no_server = run("serve", nats_url="nats://host:port")

    assert (unknown.returncode, bad.returncode, no_server.returncode) == (2, 2, 2)
    assert no_server.stderr.startswith("crew-bridge: bad setting BRIDGE_NATS_URL: must name servers")
    assert unknown.stderr == "crew-bridge: unknown setting: BRIDGE_PROT (did you mean BRIDGE_PORT?)\n"
    assert bad.stderr.startswith("crew-bridge: bad setting BRIDGE_PORT: ")


def test_a_family_that_cannot_be_one_is_a_bad_setting() -> None:
    done = run("serve", extra_families="two words")

    assert done.returncode == 2
    assert done.stderr.startswith("crew-bridge: bad setting BRIDGE_EXTRA_FAMILIES: ")


@pytest.mark.parametrize("content", [b"port = \n", b"\xff\xfe"])
def test_a_file_of_settings_that_is_not_toml_is_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bridge.toml"
    file.write_bytes(content)
    done = run("serve", config=file)

    assert done.returncode == 2
    assert done.stderr.startswith("crew-bridge: the file that BRIDGE_CONFIG names is not TOML: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[bridge]\nport = 0\n", "bridge: put all names at its top"),
        ("prot = 0\n", "prot (did you mean port?)"),
    ],
)
def test_a_name_in_the_file_that_is_no_setting_is_told_with_what_to_do(
    tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text(text)
    done = run("serve", config=file)

    assert done.returncode == 2
    assert words in done.stderr


def test_nobody_to_publish_to_is_one_line(tmp_path: Path) -> None:
    done = run("publish", "task.completed", "--nats", "nats://127.0.0.1:1", "--timeout", "0.3")

    assert done.returncode == 1
    assert "no NATS server" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [("serve",), ("serve", "--workers", "2"), ("demo",)])
async def test_a_password_in_the_address_of_nats_is_shown_nowhere(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    server = NatsServer(tmp_path)
    server.configure('authorization { user: crew, password: "p@ss" }')
    server.start()
    address = server.url.removeprefix("nats://")
    first = free_ports(3)
    settings = {"port": first, "operator_port": first + 1} if len(arguments) > 1 else {"port": 0}
    with process(tmp_path, *arguments, nats_url=f"nats://crew:p%40ss@{address}", **settings) as serving:
        bridge = await Client.of(serving.bridge())
        assert bridge.url
        told = serving.output + serving.errors
        served = [str(await bridge.get(path)) for path in (f"{PREFIX}/health", "/readyz")]
        assert serving.ended() == 0
    assert f"nats://{address}" in told
    texts = (serving.output, serving.errors, *served)
    assert not [text for text in texts if "p@ss" in text or "p%40ss" in text]
    server.stop()


async def test_a_port_that_is_taken_is_one_line(bridge: Client, nats_url: str) -> None:
    port = bridge.url.rpartition(":")[2]
    done = await asyncio.to_thread(run, "serve", nats_url=nats_url, port=port, log_level="error")

    assert done.returncode == 1
    assert done.stderr == f"crew-bridge: cannot listen on 127.0.0.1:{port}: Address already in use\n"


async def test_a_served_bridge_with_its_own_server_ends_cleanly_and_leaves_nothing(tmp_path: Path) -> None:
    with process(tmp_path, "serve", port=0, data_dir=tmp_path / "data") as serving:
        running = serving.bridge()
        bridge = await Client.of(running)
        async with bridge.connect("global") as listener:
            done = await asyncio.to_thread(
                run, "publish", "task.completed", "--execution-id", "e1", nats_url=running.nats_url
            )
            event = await listener.message()
        assert done.returncode == 0
        assert done.stdout.split() == [event["event_id"], "task.completed._.e1"]
        assert serving.ended() == 0
    host, port = running.nats_url.removeprefix("nats://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


@pytest.mark.parametrize("where", ["a pipe without a reader", "a full disk"])
async def test_a_log_that_nobody_can_take_keeps_no_bridge_from_serving(where: str, nats_url: str) -> None:
    with _nowhere(where) as journal:
        serving = await asyncio.create_subprocess_exec(
            *COMMAND,
            "serve",
            env=environment({"port": 0, "nats_url": nats_url}),
            stdout=subprocess.PIPE,
            stderr=journal,
        )
    try:
        assert serving.stdout
        url = (await serving.stdout.readline()).decode().split()[2]
        bridge = await Client.of(Running(url, nats_url))
        async with bridge.connect("custom") as listener:
            assert (await listener.ask({"action": "ping"}))["type"] == "pong"
    finally:
        serving.terminate()
    assert await serving.wait() == 0


@contextmanager
def _nowhere(where: str) -> Iterator[int]:
    """A descriptor that takes nothing of what is written."""
    if where == "a full disk":
        descriptor = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, descriptor = os.pipe()
        os.close(reader)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_ctrl_c_ends_the_demo_which_shows_valid_events_on_the_way(tmp_path: Path) -> None:
    with process(tmp_path, "demo", port=0, data_dir=tmp_path / "data") as playing:
        url = playing.bridge().url
        with process(tmp_path, "tail", "execution_research-1", "--url", url, "--since", "0") as tailing:
            eventually(lambda: "tool.started" in tailing.output)
            assert tailing.output.splitlines()[0].split()[2:4] == ["execution.started", "research-1"]
            assert tailing.ended(signal.SIGINT) == 130
        assert playing.ended(signal.SIGINT) == 0
    assert "Traceback" not in playing.errors


def test_what_the_demo_says_to_type_publishes(tmp_path: Path) -> None:
    with process(tmp_path, "demo", port=0, data_dir=tmp_path / "data") as playing:
        playing.bridge()
        (line,) = re.findall(r"publish: (.*)", playing.output)
        typed = subprocess.run(
            ["/bin/sh", "-c", line],
            env=environment({}),
            text=True,
            capture_output=True,
            timeout=30,
            check=False,
        )

    assert (typed.returncode, typed.stdout.split()[1]) == (0, "task.completed._._"), typed.stderr


def test_what_a_bridge_will_not_show_ends_the_tail(tmp_path: Path, nats_url: str) -> None:
    with process(tmp_path, "serve", port=0, nats_url=nats_url) as serving:
        done = run("tail", "a.b.c", "--url", serving.bridge().url.removeprefix("http://") + "/")

    assert done.returncode == 1
    assert done.stderr.startswith("crew-bridge: refused: ")


async def test_an_address_without_a_bridge_ends_the_tail(bridge: Client) -> None:
    done = await asyncio.to_thread(run, "tail", "--url", f"{bridge.url}/elsewhere")

    assert done.returncode == 1
    assert "answers 404: is it a bridge" in done.stderr


def test_what_is_no_address_ends_the_tail() -> None:
    done = run("tail", "--url", "ftp://127.0.0.1")

    assert done.returncode == 1
    assert done.stderr.startswith("crew-bridge: ftp://127.0.0.1/api/v1/websocket is no address of a bridge")


def test_a_family_of_ones_own_is_published_and_shown_line_by_line_until_the_reader_has_enough(
    tmp_path: Path,
) -> None:
    own = {"extra_families": "invoice"}
    with process(tmp_path, "serve", port=0, data_dir=tmp_path / "data", **own) as serving:
        running = serving.bridge()
        first = run("publish", "invoice.paid", nats_url=running.nats_url, **own)
        with subprocess.Popen(
            [*COMMAND, "tail", "--url", running.url, "--since", "0"],
            env=environment(own) | {"PYTHONUNBUFFERED": ""},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as tailing:
            assert tailing.stdout
            assert tailing.stderr
            try:
                assert " invoice.paid " in tailing.stdout.readline()
                tailing.stdout.close()
                second = run("publish", "invoice.paid", nats_url=running.nats_url, **own)
                assert tailing.wait(15) == 1
                assert tailing.stderr.read() == ""
            finally:
                tailing.kill()
    assert (first.returncode, second.returncode) == (0, 0)


async def test_a_tail_begins_after_a_position_or_a_seq(
    tmp_path: Path, bridge: Client, publisher: EventPublisher, new_id: str
) -> None:
    async with bridge.connect(f"executions/{new_id}") as listener:
        for number in range(3):
            await publisher.publish(create_task_event(f"t{number}", "completed", execution_id=new_id))
        first, *_ = await listener.events(3)
    shown = {}
    for since in (first["position"], str(first["seq"])):
        with process(
            tmp_path / since, "tail", f"execution_{new_id}", "--url", bridge.url, "--since", since
        ) as tailing:
            await until(partial(_is_shown, tailing, "t2"))
            shown[since] = [line.split()[4] for line in tailing.output.splitlines() if new_id in line]
            assert "elsewhere" not in tailing.output
    assert list(shown.values()) == [["t1", "t2"]] * 2


def _is_shown(tailing: Process, word: str) -> bool:
    return word in tailing.output


async def test_a_tail_goes_on_where_it_was_when_the_bridge_comes_back(
    tmp_path: Path, nats_url: str, new_id: str
) -> None:
    async def publish(first: int, last: int) -> None:
        async with EventPublisher(nats_url) as publisher:
            for number in range(first, last + 1):
                await publisher.publish(create_task_event(f"t{number}", "completed", execution_id=new_id))

    def shown() -> list[str]:
        return [line.split()[4] for line in tailing.output.splitlines() if new_id in line]

    with process(tmp_path / "a", "serve", port=0, nats_url=nats_url) as serving:
        running = serving.bridge()
        await Client.of(running)
        await publish(1, 5)
        tailing = Process(tmp_path, "tail", f"execution_{new_id}", "--url", running.url, "--since", "0")
        try:
            await asyncio.to_thread(eventually, lambda: len(shown()) == 5)
            assert serving.ended() == 0
            await publish(6, 10)
            port = running.url.rpartition(":")[2]
            with process(tmp_path / "b", "serve", port=port, nats_url=nats_url) as again:
                assert isinstance(again.bridge(), Running)
                await asyncio.to_thread(eventually, lambda: len(shown()) == 10)
                await publish(11, 12)
                await asyncio.to_thread(eventually, lambda: len(shown()) >= 12)
        finally:
            tailing.ended()
    assert shown() == [f"t{number}" for number in range(1, 13)]
    assert "are gone" not in tailing.output
    assert "Traceback" not in tailing.errors


@pytest.mark.parametrize(
    ("configuration", "login", "code", "words"),
    [
        ("authorization { user: crew, password: s3cret }", "", 3, "wants credentials"),
        ("authorization { user: crew, password: s3cret }", "crew:no@", 3, "refuses the credentials"),
        ("", "", 5, "NATS has no JetStream"),
        ("jetstream {}", "", 6, "NATS has no stream CREW_EVENTS"),
    ],
)
def test_who_cannot_publish_is_told_why_in_words_and_by_exit_code(
    tmp_path: Path, configuration: str, login: str, code: int, words: str
) -> None:
    server = NatsServer(tmp_path, jetstream=False)
    server.configure(configuration.replace("{}", f'{{ store_dir: "{tmp_path}" }}'))
    server.start()
    address = server.url.replace("nats://", f"nats://{login}")
    done = run("publish", "task.completed", "--nats", address, "--timeout", "1")
    server.stop()

    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert words in done.stderr


async def test_a_family_that_the_stream_lacks_is_told_who_publishes_one(
    bridge: Client, nats_url: str
) -> None:
    done = await asyncio.to_thread(
        run, "publish", "sow.sown", "--nats", nats_url, "--timeout", "1", extra_families="sow"
    )

    assert done.returncode == 6
    assert "the stream CREW_EVENTS does not take sow.sown" in done.stderr


def test_start_and_end_are_logged_with_what_an_operator_wants_to_know(tmp_path: Path, nats_url: str) -> None:
    with process(tmp_path, "serve", port=0, nats_url=nats_url, instance="b7", log_format="json") as serving:
        serving.bridge()
        assert serving.ended() == 0
    lines = serving.errors
    assert f'"version": "{version("crew-bridge")}"' in lines
    assert '"instance": "b7"' in lines
    assert '"signal": "SIGTERM"' in lines
    assert '"clients": 0' in lines
