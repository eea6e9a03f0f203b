"""The demo's crew publishes what a real one would."""

import asyncio
import re
import signal
from collections import defaultdict
from pathlib import Path
from urllib.error import URLError

import pytest

from bridge.demo import play
from tests.client import Client
from tests.processes import process
from tests.prometheus import Prometheus
from tests.tools import needed
from tests.waiting import eventually


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


def test_the_demo_shows_its_numbers_where_prometheus_is_installed(tmp_path: Path) -> None:
    needed("prometheus")
    with process(tmp_path, "demo", port=0, data_dir=tmp_path / "data") as playing:
        found = eventually(
            lambda: re.search(r"numbers: (http://\S+?)/graph\?g0.expr=\S+", playing.output), 60
        )
        watcher = Prometheus(found[1])
        eventually(watcher.is_ready, 60)
        eventually(lambda: watcher.ask("sum(rate(crew_bridge_crew_events_total[10s])) > 0"), 60)
        assert [rule["health"] for group in watcher.get("rules")["groups"] for rule in group["rules"]]

        assert playing.ended(signal.SIGINT) == 0
    with pytest.raises(URLError):
        watcher.is_ready()
