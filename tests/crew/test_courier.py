"""The courier: order through every failure, and what is lost is told."""

import asyncio
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import nats
import pytest

from bridge.crew.connection import Options
from bridge.crew.courier import Courier
from bridge.crew.message import STREAM, Message
from bridge.crew.outbox import Outbox
from bridge.crew.sender import ACK_SECONDS
from bridge.crew.spool import MOST_ADOPTED, Spool
from contracts import create_execution_event, create_task_event
from tests.crew.stored import Stored, everything
from tests.nats_server import NatsServer
from tests.proxy import proxied
from tests.waiting import eventually, soon

_SHORT = 1
"""Seconds for which a stream knows an id again."""

_TWO_USERS = """
authorization {
  users: [
    {user: all, password: all}
    {user: few, password: few, permissions: {publish: {deny: ["$JS.API.CONSUMER.>"]}}}
  ]
}
"""

Hire = Callable[..., tuple[Outbox, Courier]]


@pytest.fixture
def hire(tmp_path: Path) -> Iterator[Hire]:
    """Couriers, with an outbox each, that end with the test."""
    hired: list[Courier] = []

    def start(url: str, outbox: Outbox | None = None) -> tuple[Outbox, Courier]:
        outbox = Outbox(5_000_000) if outbox is None else outbox
        courier = Courier(
            outbox, url, stream=STREAM, options=None, spool_directory=tmp_path / "spool", tick=lambda: None
        )
        courier.start()
        hired.append(courier)
        return outbox, courier

    yield start
    for courier in hired:
        courier.stop(5)


def message(name: str, source: str, size: int = 0) -> Message:
    return Message.of(create_task_event(name, "completed", source=source, result="x" * size))


def tasks(stored: list[Stored]) -> list[str]:
    return [found.event["task_id"] for found in stored if "task_id" in found.event]


async def test_what_is_put_arrives_in_its_order(hire: Hire, stream_url: str, source: str) -> None:
    outbox, courier = hire(stream_url)
    for n in range(2_000):
        outbox.put(message(f"t{n}", source))

    assert courier.flush(10)
    assert tasks(await everything(stream_url, source)) == [f"t{n}" for n in range(2_000)]


async def test_a_server_that_hangs_holds_nobody_up_for_long(
    hire: Hire, mortal_server: NatsServer, source: str
) -> None:
    mortal_server.start()
    await mortal_server.make_stream()
    outbox, courier = hire(mortal_server.url)
    outbox.put(message("before", source))
    assert courier.flush(10)

    mortal_server.suspend()
    outbox.put(message("during", source))
    assert courier.flush(4), "neither acknowledged nor on disk"
    outbox.put(message("after", source))
    assert courier.flush(0.9 * ACK_SECONDS), "it waits for an acknowledgement a second time"
    mortal_server.resume()
    await _drained(courier)

    assert tasks(await everything(mortal_server.url, source)) == ["before", "during", "after"]


async def test_what_was_stored_already_is_stored_once_however_late_it_comes_again(
    hire: Hire, mortal_server: NatsServer, source: str, tmp_path: Path
) -> None:
    """The stream itself remembers ids only for a while."""
    mortal_server.start()
    await mortal_server.make_stream(duplicate_window=_SHORT)
    left = [message(f"t{n}", source) for n in range(20)]
    await _publish(mortal_server.url, [message("other", source), *left[:10]])
    await _forgotten(mortal_server.url)
    spool = Spool.fresh(tmp_path / "spool")
    assert spool.append(left)
    spool.close()

    _, courier = hire(mortal_server.url)
    await soon(lambda: _holds(mortal_server.url, "t19", source))
    await _drained(courier)

    assert tasks(await everything(mortal_server.url, source)) == ["other", *(f"t{n}" for n in range(20))]


async def test_who_may_not_look_into_the_stream_publishes_all_the_same(
    hire: Hire, mortal_server: NatsServer, source: str, tmp_path: Path
) -> None:
    mortal_server.configure(_TWO_USERS)
    mortal_server.start()
    host = mortal_server.url.removeprefix("nats://")
    await mortal_server.make_stream(url=f"nats://all:all@{host}", duplicate_window=_SHORT)
    old = create_task_event("t0", "completed", source=source, timestamp=datetime(2026, 1, 1, tzinfo=UTC))
    spool = Spool.fresh(tmp_path / "spool")
    assert spool.append([Message.of(old), message("t1", source)])
    spool.close()

    hire(f"nats://few:few@{host}")
    await soon(lambda: _holds(f"nats://all:all@{host}", "t1", source))

    assert tasks(await everything(f"nats://all:all@{host}", source)) == ["t0", "t1"]


async def test_what_another_process_left_is_published_before_it_is_forgotten(
    hire: Hire, stream_url: str, source: str, tmp_path: Path
) -> None:
    left = Spool.fresh(tmp_path / "spool")
    left.append([message(f"t{n}", source) for n in range(600)])
    left.close()

    _, courier = hire(stream_url)
    await _drained(courier)
    eventually(lambda: not list((tmp_path / "spool").glob("*.sqlite")))

    assert tasks(await everything(stream_url, source)) == [f"t{n}" for n in range(600)]


async def test_a_message_that_is_too_large_holds_nothing_up_and_is_reported(
    hire: Hire, mortal_server: NatsServer, source: str
) -> None:
    mortal_server.start()
    await mortal_server.make_stream(max_msg_size=10_000)
    outbox = Outbox()
    outbox.put(message("large", source, 20_000))
    outbox.put(message("huge", source, 2_000_000))
    outbox.put(message("small", source))
    _, courier = hire(mortal_server.url, outbox)
    assert courier.flush(10)
    report = await _report(mortal_server.url)

    assert tasks(await everything(mortal_server.url, source)) == ["small"]
    assert (report["lost"], report["refused"]) == (2, 2)


async def test_what_many_processes_left_is_published_a_few_files_at_a_time(
    hire: Hire, stream_url: str, source: str, tmp_path: Path
) -> None:
    for n in range(3 * MOST_ADOPTED):
        left = Spool.fresh(tmp_path / "spool")
        left.append([message(f"t{n}", source)])
        left.close()
        os.utime(left._path, (n, n))
    few = Spool.left_behind(tmp_path / "spool")
    assert len(few) == MOST_ADOPTED
    for spool in few:
        spool.close()

    _, courier = hire(stream_url)
    eventually(lambda: not list((tmp_path / "spool").glob("*.sqlite")))
    assert courier.flush(10)

    assert tasks(await everything(stream_url, source)) == [f"t{n}" for n in range(3 * MOST_ADOPTED)]


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_message_that_the_stream_is_not_for_holds_nothing_up_and_is_reported(
    hire: Hire, mortal_server: NatsServer, source: str, *, elsewhere: bool
) -> None:
    mortal_server.start()
    await mortal_server.make_stream()
    if elsewhere:
        async with await nats.connect(mortal_server.url) as client:
            await client.jetstream().add_stream(name="ELSEWHERE", subjects=["invoice.>"])
    outbox = Outbox()
    outbox.put(message("before", source))
    outbox.put(Message("paid", "invoice.paid", b"{}", short_lived=False))
    outbox.put(message("after", source))
    _, courier = hire(mortal_server.url, outbox)
    assert courier.flush(10)
    report = await _report(mortal_server.url)

    assert tasks(await everything(mortal_server.url, source)) == ["before", "after"]
    assert (report["lost"], report["refused"]) == (1, 1)
    assert courier.accounts.on_disk == 0


async def test_a_stream_for_few_families_takes_those_and_no_report_is_reported(
    hire: Hire, mortal_server: NatsServer, source: str
) -> None:
    mortal_server.start()
    await mortal_server.make_stream(subjects=["task.*", "task.*.*.>"])
    outbox, courier = hire(mortal_server.url)
    outbox.put(message("t1", source))
    outbox.put(Message.of(create_execution_event("e1", "started", source=source)))
    outbox.put(message("t2", source))
    assert courier.flush(10)
    courier.stop(5)

    assert tasks(await everything(mortal_server.url, source)) == ["t1", "t2"]
    assert (courier.alive, courier.accounts.losses()["refused"]) == (False, 1)


async def test_what_memory_has_no_room_for_is_shed_and_reported(
    hire: Hire, mortal_server: NatsServer, source: str
) -> None:
    mortal_server.start()
    mortal_server.stop()
    outbox = Outbox(max_bytes=20_000)
    for n in range(50):
        outbox.put(Message.of(create_execution_event("e1", "progress", progress=n / 50, source=source)))
    for n in range(40):
        outbox.put(message(f"t{n}", source))
    hire(mortal_server.url, outbox)
    mortal_server.start()
    await mortal_server.make_stream()
    report = await _report(mortal_server.url)

    assert report["shed"] == report["lost"] >= 50
    assert tasks(await everything(mortal_server.url, source)) == [f"t{n}" for n in range(40)]


def test_a_courier_that_ends_keeps_the_rest_on_disk(hire: Hire, tmp_path: Path, source: str) -> None:
    outbox, courier = hire("nats://127.0.0.1:1")
    outbox.put(message("t1", source))
    courier.stop(5)

    assert not courier.alive
    assert not courier.flush(1)
    (spool,) = Spool.left_behind(tmp_path / "spool")
    assert spool.waiting == 1
    spool.close()


async def test_what_the_disk_does_not_take_waits_in_memory(
    hire: Hire, mortal_server: NatsServer, tmp_path: Path, source: str
) -> None:
    (tmp_path / "spool").write_text("no directory")
    mortal_server.start()
    mortal_server.stop()
    outbox, courier = hire(mortal_server.url)
    for n in range(600):
        outbox.put(message(f"t{n}", source))
    assert not courier.flush(4), "it is neither acknowledged nor on disk"
    assert len(outbox) == 600

    mortal_server.start()
    await mortal_server.make_stream()
    eventually(lambda: courier.flush(1))

    assert tasks(await everything(mortal_server.url, source)) == [f"t{n}" for n in range(600)]
    assert sum(courier.accounts.losses().values()) == 0


async def test_a_spool_that_cannot_be_removed_any_more_ends_no_courier(
    hire: Hire, mortal_server: NatsServer, tmp_path: Path, source: str
) -> None:
    mortal_server.start()
    mortal_server.stop()
    outbox, courier = hire(mortal_server.url)
    outbox.put(message("t1", source))
    assert courier.flush(10)
    (tmp_path / "spool").rename(tmp_path / "moved")
    (tmp_path / "spool").write_text("no directory")

    mortal_server.start()
    await mortal_server.make_stream()
    await _drained(courier)
    outbox.put(message("t2", source))

    assert courier.flush(10)
    assert tasks(await everything(mortal_server.url, source)) == ["t1", "t2"]


async def test_what_was_stored_and_waits_in_memory_is_stored_once_however_late_it_comes_again(
    hire: Hire, mortal_server: NatsServer, tmp_path: Path, source: str
) -> None:
    (tmp_path / "spool").write_text("no directory")
    mortal_server.start()
    await mortal_server.make_stream(duplicate_window=_SHORT)
    doubtful = [message(f"t{n}", source) for n in range(20)]
    async with proxied(mortal_server.url) as proxy:
        outbox, courier = hire(proxy.url)
        assert await asyncio.to_thread(courier.flush, 10)
        await _publish(mortal_server.url, doubtful[:10])
        await _forgotten(mortal_server.url)

        proxy.stall()
        for one in doubtful:
            outbox.put(one)
        assert not await asyncio.to_thread(courier.flush, 10), "it is neither acknowledged nor on disk"
        proxy.cut()
        proxy.resume()
        await soon(lambda: asyncio.to_thread(courier.flush, 1))

    assert tasks(await everything(mortal_server.url, source)) == [f"t{n}" for n in range(20)]


def test_a_disk_that_takes_nothing_is_not_tried_again_for_every_event(
    tmp_path: Path, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "spool").write_text("no directory")
    caplog.set_level("DEBUG", "bridge.crew.spool")
    outbox = Outbox(max_bytes=250_000)
    turns: list[None] = []
    courier = Courier(
        outbox, "nats://127.0.0.1:1", stream=STREAM, options=None, spool_directory=tmp_path / "spool",
        tick=lambda: turns.append(None),
    )  # fmt: skip
    for n in range(300):
        outbox.put(message(f"t{n}", source))
    assert outbox.crowded
    courier.start()
    eventually(lambda: caplog.records)

    for n in range(60):
        outbox.put(message(f"late-{n}", source))
        _wait_for_a_turn(outbox, turns)
    courier.stop(0)

    assert len(caplog.records) < 40


def test_what_neither_nats_nor_the_disk_takes_is_counted_at_the_end(
    hire: Hire, tmp_path: Path, source: str
) -> None:
    (tmp_path / "spool").write_text("no directory")
    outbox, courier = hire("nats://127.0.0.1:1")
    outbox.put(message("t1", source))
    courier.stop(0.2)

    assert not courier.alive
    assert courier.accounts.losses()["not_spooled"] >= 1


@pytest.mark.parametrize("options", [{"nonsense": 1}, {"allow_reconnect": True}])
def test_options_that_are_wrong_lose_no_event(
    options: Options, tmp_path: Path, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox()
    courier = Courier(
        outbox, "nats://127.0.0.1:1", stream=STREAM, options=options, spool_directory=tmp_path,
        tick=lambda: None,
    )  # fmt: skip
    courier.start()
    outbox.put(message("t1", source))

    assert courier.flush(5)
    assert courier.accounts.on_disk == 1
    courier.stop(5)
    assert "no connection to NATS: TypeError" in caplog.text


async def test_a_courier_ends_at_whatever_moment_of_connecting_it_is_told_to(tmp_path: Path) -> None:
    """nats-py loses cancellations that come while it connects."""
    for tenths in range(400):
        courier = Courier(
            Outbox(), "nats://127.0.0.1:1", stream=STREAM, options=None, spool_directory=tmp_path,
            tick=lambda: None,
        )  # fmt: skip
        async with asyncio.TaskGroup() as group:
            connecting = group.create_task(courier._keep_connected())
            await asyncio.wait([connecting], timeout=tenths / 20_000)
            connecting.cancel()
            await asyncio.wait([connecting], timeout=1)
            is_over = connecting.done()
            connecting.cancel()
        assert is_over


def test_trouble_is_not_printed(hire: Hire, capfd: pytest.CaptureFixture[str], source: str) -> None:
    outbox, courier = hire("nats://127.0.0.1:1")
    outbox.put(message("t1", source))
    assert courier.flush(10)
    courier.stop(5)

    assert capfd.readouterr() == ("", "")


def _wait_for_a_turn(outbox: Outbox, turns: list[None]) -> None:
    before = len(turns)
    outbox.call()
    eventually(lambda: len(turns) > before)


async def _publish(url: str, messages: list[Message]) -> None:
    async with await nats.connect(url) as client:
        for one in messages:
            await client.publish(one.subject, one.payload, headers={"Nats-Msg-Id": one.event_id})
        await client.flush()


async def _holds(url: str, name: str, source: str) -> bool:
    return name in tasks(await everything(url, source))


async def _forgotten(url: str) -> None:
    """Wait until the stream takes an id again that it took now."""
    async with asyncio.timeout(20), await nats.connect(url) as client:

        async def is_new() -> bool:
            probe = create_execution_event("probe", "started").to_json().encode()
            ack = await client.jetstream().publish(
                "execution.started", probe, headers={"Nats-Msg-Id": "probe"}
            )
            return not ack.duplicate

        assert await is_new()
        await soon(is_new)


async def _drained(courier: Courier) -> None:
    """Return when nothing is on disk any more: a flush only promises that it is there or acknowledged."""
    async with asyncio.timeout(20):
        while courier.accounts.on_disk:  # noqa: ASYNC110  # A thread drains it.
            await asyncio.sleep(0.02)


async def _report(url: str) -> dict[str, int]:
    async with asyncio.timeout(20):
        while True:
            for found in await everything(url):
                if found.type == "system.error":
                    return dict(found.event["data"])
            await asyncio.sleep(0.05)
