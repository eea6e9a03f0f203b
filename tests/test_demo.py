"""The demo's crew publishes what a real one would."""

import asyncio
from collections import defaultdict
from pathlib import Path

from bridge.demo import play
from tests.client import Client


async def test_the_demos_events_are_valid_and_dense_in_each_execution(bridge: Client, tmp_path: Path) -> None:
    """A refused event would leave a hole."""
    sequences: dict[str, list[int]] = defaultdict(list)
    async with bridge.connect("global") as listener, asyncio.TaskGroup() as tasks:
        playing = tasks.create_task(play(bridge.nats_url))
        while sum(map(len, sequences.values())) < 45:
            event = await listener.message()
            if event.get("source") == "demo":
                sequences[event["execution_id"]].append(event["sequence"])
                assert event["crew_id"] == event["execution_id"].rpartition("-")[0]
        playing.cancel()

    assert len(sequences) == 3
    for sequence in sequences.values():
        assert sequence == list(range(1, len(sequence) + 1))
