"""The collector stays out of the way, and what dies in cycles is found all the same."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from bridge.core.counters import Counters
from bridge.core.histogram import Histogram
from bridge.garbage import Tidiness, tidy, timed
from tests.client import Client


class Cycle:
    """Only a collection ends it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    with tidy():
        yield


def dead_cycle() -> "weakref.ref[Cycle]":
    return weakref.ref(Cycle())


def test_a_wave_of_connections_is_frozen_and_a_trickle_is_not() -> None:
    counters = Counters()
    tidiness = Tidiness(counters)
    counters.opened["global"] += 1000
    before = gc.get_freeze_count()

    assert tidiness.look() == "frozen"
    assert gc.get_freeze_count() > before
    counters.opened["global"] += 10
    assert tidiness.look() == "left"


def test_what_died_frozen_is_found_when_the_bridge_is_idle() -> None:
    counters = Counters()
    tidiness = Tidiness(counters)
    cycle = dead_cycle()
    counters.opened["global"] += 1000
    tidiness.look()
    gc.collect()
    assert cycle() is not None

    counters.closed[1000] += 1000
    counters.events_in["task"] += 100
    assert tidiness.look() == "left"
    assert tidiness.look() == "thawed"

    assert cycle() is None
    assert gc.get_freeze_count() > 0


def test_a_bridge_that_is_never_idle_is_not_left_to_grow() -> None:
    counters = Counters()
    tidiness = Tidiness(counters)
    counters.events_in["task"] += 100
    counters.closed[1000] += 20_000

    assert tidiness.look() == "thawed"


@pytest.mark.parametrize(("seconds", "events"), [(3600, 0), (86_400, 100)])
def test_once_in_a_while_everything_is_looked_at(seconds: int, events: int) -> None:
    counters = Counters()
    tidiness = Tidiness(counters)
    done = []
    for _ in range(seconds):
        counters.events_in["task"] += events
        done.append(tidiness.look())

    assert done.count("thawed") == 1
    assert done[-1] == "thawed"


def test_the_collector_is_left_as_it_was_found() -> None:
    before = gc.get_threshold()
    with tidy():
        pass
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_every_collection_is_timed_as_long_as_somebody_wants_to_know() -> None:
    pauses = Histogram((1, 1_000_000))

    with timed(pauses):
        gc.collect()
        gc.collect()
    gc.collect()

    assert sum(pauses.counts) == 2
    assert 0 < pauses.total < 1_000_000


async def test_a_bridge_at_work_has_frozen_what_was_there_at_its_start(bridge: Client) -> None:
    status, _ = await bridge.get("/healthz")

    assert status == 200
    assert gc.get_freeze_count() > 1000
