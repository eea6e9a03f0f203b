"""A stream that lost its end gives the numbers again, to other events: who has seen the lost ones is told."""

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import nats
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.client import Client, Json, Listener
from tests.conftest import StartBridge
from tests.e2e.test_history import SMALL_RING, numbers, publish, stored
from tests.nats_server import NatsServer
from tests.proxy import proxied
from tests.waiting import soon

RINGS: dict[str, dict[str, Any]] = {"in the ring": {}, "below the ring": SMALL_RING}
KEPT, LOST, LATER = 80, 20, 140
"""The stream keeps the first 80 events of 100; 140 others follow, of which a small ring holds the last 60."""


class Machine:
    """A nats-server that can lose what it did not write to the disk."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._saved = directory / "now", directory / "saved"
        self._directory.mkdir()
        self.server = NatsServer(self._directory)
        self.server.start()

    def save(self) -> None:
        """What is there now is what will be left."""
        self.server.stop()
        shutil.copytree(self._directory / "jetstream", self._saved)
        self.server.start()

    def lose(self) -> None:
        """The power goes, and comes back."""
        self.server.kill()
        shutil.rmtree(self._directory / "jetstream")
        shutil.copytree(self._saved, self._directory / "jetstream")
        self.server.start()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.server.stop()


@pytest.fixture
def nats_url(machine: Machine) -> str:
    return machine.server.url


async def _publish(url: str, count: int, first: int, **fields: str) -> None:
    client = await nats.connect(url)
    await publish(client.jetstream(), count, first=first, **fields)
    await client.close()


async def _seen(bridge: Client, url: str, count: int, first: int, **fields: str) -> list[Json]:
    """New events as a client sees them; before them, what it was told first."""
    async with bridge.connect("global") as listener:
        await _publish(url, count, first, **fields)
        return [listener.established, *await listener.events(count)]


@asynccontextmanager
async def rolled_back(
    machine: Machine, start_bridge: StartBridge, bridges: int = 1, **settings: Any
) -> AsyncIterator[tuple[list[Client], list[Json]]]:
    """Bridges that started after the stream lost its end and went on; what a client saw before that."""
    url = machine.server.url
    async with start_bridge(**settings) as bridge:
        seen = await _seen(bridge, url, KEPT, 1)
    machine.save()
    async with start_bridge(**settings) as bridge:
        seen += (await _seen(bridge, url, LOST, KEPT + 1, agent_id="lost"))[1:]
    machine.lose()
    async with AsyncExitStack() as running:
        started = [await running.enter_async_context(start_bridge(**settings)) for _ in range(bridges)]
        await _publish(url, LATER, KEPT + 1, agent_id="later")
        for bridge in started:
            await stored(bridge, KEPT + LATER)
        yield started, seen


async def _all(listener: Listener, count: int) -> list[int]:
    events = await listener.events(count)
    assert await listener.nothing_more()
    assert "lost" not in {event.get("agent_id") for event in events}
    return numbers(events)


@pytest.mark.parametrize("ring", RINGS)
async def test_who_has_seen_what_was_lost_begins_anew(
    machine: Machine, start_bridge: StartBridge, ring: str
) -> None:
    async with rolled_back(machine, start_bridge, **RINGS[ring]) as ((bridge,), seen):
        async with bridge.connect("global", since=seen[KEPT + LOST]["position"]) as listener:
            assert listener.first["recovery"]["reason"] == "stream_reset"
            assert not listener.first["recovery"]["recovered"]
            assert await _all(listener, KEPT + LATER) == list(range(1, KEPT + LATER + 1))
        async with bridge.connect("custom") as listener:
            subscribe = {"action": "subscribe", "subscriptions": ["global"]}
            answer = await listener.ask(subscribe | {"since": seen[KEPT + 1]["position"]})
            assert answer["recovery"]["reason"] == "stream_reset"


@pytest.mark.parametrize("ring", RINGS)
async def test_who_has_seen_only_what_was_kept_goes_on_from_there(
    machine: Machine, start_bridge: StartBridge, ring: str
) -> None:
    async with rolled_back(machine, start_bridge, **RINGS[ring]) as ((bridge,), seen):
        for place in (KEPT, KEPT - 3):
            async with bridge.connect("global", since=seen[place]["position"]) as listener:
                assert listener.first["recovery"]["recovered"]
                count = KEPT + LATER - place
                assert await _all(listener, count) == list(range(place + 1, KEPT + LATER + 1))


async def test_a_position_is_the_same_for_every_bridge(machine: Machine, start_bridge: StartBridge) -> None:
    async with rolled_back(machine, start_bridge, 2) as ((one, other), seen):
        async with one.connect("global", since=seen[-1]["position"]) as listener:
            position = (await listener.events(KEPT + LATER))[-1]["position"]
            assert listener.first["recovery"]["reason"] == "stream_reset"
        async with other.connect("global", since=position) as listener:
            assert listener.first["recovery"]["reason"] == "nothing_missed"
            assert listener.first["position"] == position


async def test_a_number_with_the_epoch_that_came_with_it_is_known_to_be_lost(
    machine: Machine, start_bridge: StartBridge
) -> None:
    async with rolled_back(machine, start_bridge) as ((bridge,), seen):
        early = seen[0]["data"]["epoch"]
        late = f"{early.partition('-')[0]}-{seen[-1]['position']}"
        async with bridge.connect("global", since=100, epoch=late) as listener:
            assert listener.first["recovery"]["reason"] == "stream_reset"
        async with bridge.connect("global", since=100, epoch=early) as listener:
            assert listener.first["recovery"]["reason"] == "unverified", "the epoch is from before the loss"
            assert not listener.first["recovery"]["recovered"]
            assert await _all(listener, KEPT + LATER - 100) == list(range(101, KEPT + LATER + 1))
        async with bridge.connect("global", since=100) as listener:
            assert listener.first["recovery"]["reason"] == "unverified"


async def test_who_comes_before_anything_new_begins_anew_as_well(
    machine: Machine, start_bridge: StartBridge
) -> None:
    url = machine.server.url
    async with start_bridge() as bridge:
        await _seen(bridge, url, 10, 1)
    machine.save()
    async with start_bridge() as bridge:
        seen = await _seen(bridge, url, 5, 11)
    machine.lose()
    async with start_bridge() as bridge, bridge.connect("global", since=seen[-1]["position"]) as listener:
        assert listener.first["recovery"]["reason"] == "stream_reset"
        assert await _all(listener, 10) == list(range(1, 11))


async def test_a_bridge_that_lived_through_it_sends_its_clients_to_begin_anew_or_go_on(
    machine: Machine, start_bridge: StartBridge
) -> None:
    url = machine.server.url
    async with start_bridge():
        machine.save()
    async with start_bridge(feed_heartbeat_seconds=0.5) as bridge:
        async with bridge.connect("global") as listener:
            await _publish(url, 20, 1, agent_id="lost")
            seen = await listener.events(20)
            machine.lose()
            await _publish(url, 40, 1, agent_id="later")
            with pytest.raises(ConnectionClosed) as closed:
                await listener.events(100)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4001
        await soon(bridge.is_ready)
        async with bridge.connect("global", since=seen[-1]["position"]) as listener:
            assert listener.first["recovery"]["reason"] == "stream_reset"
            assert await _all(listener, 40) == list(range(1, 41))


async def test_a_position_whose_event_has_gone_is_as_good(
    machine: Machine, start_bridge: StartBridge
) -> None:
    url = machine.server.url
    async with start_bridge() as bridge:
        seen = await _seen(bridge, url, 10, 1)
        client = await nats.connect(url)
        for seq in (4, 5, 10):
            await client.jetstream().delete_msg("CREW_EVENTS", seq)
        await client.close()
    async with start_bridge(**SMALL_RING) as bridge:
        for place in (4, 5):
            async with bridge.connect("global", since=seen[place]["position"]) as listener:
                assert listener.first["recovery"]["reason"] == "replayed"
                assert await _all(listener, 4) == [6, 7, 8, 9]
        async with bridge.connect("global", since=seen[10]["position"]) as listener:
            assert listener.first["recovery"]["reason"] == "nothing_missed"


async def test_a_bridge_that_was_cut_off_does_not_vouch_for_what_another_gave_meanwhile(
    machine: Machine, start_bridge: StartBridge
) -> None:
    """It has read nothing of what was lost, so to it the stream looks as it was."""
    url = machine.server.url
    async with start_bridge(heartbeat_seconds=0.1) as bridge, proxied(url) as proxy:
        await _seen(bridge, url, 70, 1)
        async with start_bridge(nats_url=proxy.url, feed_heartbeat_seconds=0.5) as other:
            await stored(other, 70)
            proxy.stall()
            async with bridge.connect("global") as listener:
                await _publish(url, 10, 71)
                await listener.events(10)
                while (beat := json.loads(await listener.socket.recv()))["data"].get("head") != KEPT:
                    pass
            pair = {"since": KEPT + LOST, "epoch": beat["data"]["epoch"]}
            machine.save()
            await soon(bridge.is_ready)
            await _seen(bridge, url, LOST, KEPT + 1)
            machine.lose()
            await _publish(url, LATER, KEPT + 1, agent_id="later")
            proxy.cut()
            proxy.resume()
            await stored(other, KEPT + LATER)
            async with other.connect("global", **pair) as listener:
                assert not listener.first["recovery"]["recovered"]
                assert listener.first["recovery"]["reason"] == "unverified"


async def test_who_was_given_nothing_of_a_stream_that_was_made_anew_is_told(
    machine: Machine, start_bridge: StartBridge
) -> None:
    url = machine.server.url
    async with start_bridge(feed_heartbeat_seconds=0.2) as bridge:
        async with bridge.connect("global") as listener:
            position = listener.first["position"]
        async with bridge.connect("global", since=position) as listener:
            assert listener.first["recovery"]["reason"] == "nothing_missed"
        await _publish(url, 5, 1, agent_id="lost")
        client = await nats.connect(url)
        before = (await bridge.get("/readyz"))[1]["epoch"]
        await client.jetstream().delete_stream("CREW_EVENTS")
        await client.close()

        async def is_another() -> bool:
            status, ready = await bridge.get("/readyz")
            return status == 200 and ready["epoch"] != before

        await soon(is_another)
        await _publish(url, 3, 1)
        await stored(bridge, 3)
        async with bridge.connect("global", since=position) as listener:
            assert listener.first["recovery"]["reason"] == "stream_reset"
            assert await _all(listener, 3) == [1, 2, 3]


async def test_a_position_whose_event_was_gone_before_a_bridge_came_is_as_good_for_those_that_had_it(
    machine: Machine, start_bridge: StartBridge
) -> None:
    """A server that was killed says of the end of its stream when that was taken away."""
    url = machine.server.url
    async with start_bridge(feed_heartbeat_seconds=0.5) as bridge:
        await _seen(bridge, url, 10, 1)
        client = await nats.connect(url)
        await client.jetstream().delete_msg("CREW_EVENTS", 10)
        await client.close()
        machine.server.kill()
        machine.server.start()
        async with start_bridge() as other:
            async with other.connect("global") as listener:
                position = listener.first["position"]

            async def can_ask_the_stream() -> bool:
                with suppress(InvalidStatus):
                    async with bridge.connect("global", last=20):
                        return True
                return False

            await soon(can_ask_the_stream)
            async with bridge.connect("global", since=position) as listener:
                assert listener.first["recovery"]["reason"] == "nothing_missed"
            async with other.connect("global", since=position) as listener:
                assert listener.first["recovery"]["reason"] == "nothing_missed"
