"""A worker says that it is there, as long as it is."""

import asyncio
from pathlib import Path
from typing import Any

from bridge.crew.courier import Courier
from bridge.crew.message import STREAM, Message
from bridge.crew.outbox import Outbox
from bridge.crew.pulse import Pulse
from contracts import create_task_event
from tests.crew.stored import Stored, everything
from tests.nats_server import NatsServer
from tests.waiting import until


def pulses(stored: list[Stored]) -> list[dict[str, Any]]:
    return [message.event["data"] for message in stored if message.type == "system.health_check"]


async def test_a_worker_has_a_pulse_and_says_goodbye(mortal_server: NatsServer, tmp_path: Path) -> None:
    mortal_server.start()
    await mortal_server.make_stream()
    outbox = Outbox()
    courier = hired(outbox, mortal_server.url, tmp_path, Pulse(0.05))
    outbox.put(Message.of(create_task_event("t1", "completed")))
    await until(lambda: courier.accounts.published >= 3)
    await asyncio.to_thread(courier.stop, 5)

    stored = await everything(mortal_server.url)
    heard = pulses(stored)
    assert len({beat["instance"] for beat in heard}) == 1
    assert [beat["status"] for beat in heard] == ["ok"] * (len(heard) - 1) + ["down"]
    assert heard[-1]["published"] == len(stored) - 1
    assert (heard[-1]["lost"], heard[-1]["on_disk"]) == (0, 0)
    assert all(m.headers["Nats-TTL"] for m in stored if m.type == "system.health_check")
    assert {m.worker for m in stored if m.type == "system.health_check"} == {heard[0]["instance"]}


async def test_a_worker_that_lives_for_a_moment_has_none(mortal_server: NatsServer, tmp_path: Path) -> None:
    mortal_server.start()
    await mortal_server.make_stream()
    outbox = Outbox()
    courier = hired(outbox, mortal_server.url, tmp_path, None)
    outbox.put(Message.of(create_task_event("t1", "completed")))
    await asyncio.to_thread(courier.stop, 5)

    assert [message.type for message in await everything(mortal_server.url)] == ["task.completed"]


def hired(outbox: Outbox, url: str, directory: Path, pulse: Pulse | None) -> Courier:
    courier = Courier(
        outbox,
        url,
        stream=STREAM,
        options=None,
        spool_directory=directory / "spool",
        tick=lambda: None,
        pulse=pulse,
    )
    courier.start()
    return courier
