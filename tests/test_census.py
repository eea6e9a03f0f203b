"""What crews do is counted once, and workers that fall silent are missed."""

from typing import Any

from bridge.census import Census
from bridge.workers import MAX_WORKERS, SILENT_SECONDS, Workers
from contracts import create_system_event
from contracts.payloads.state import SystemHealthCheck


def pulse(instance: str, status: str = "ok", **totals: Any) -> SystemHealthCheck:
    return SystemHealthCheck.model_validate({"status": status, "instance": instance, **totals})


def test_a_worker_that_falls_silent_is_lost_and_one_that_says_goodbye_is_not() -> None:
    workers = Workers()
    workers.heard(pulse("a", waiting=2, on_disk=3), 0)
    workers.heard(pulse("b"), 0)
    workers.heard(pulse("c"), 1)
    assert (len(workers), workers.waiting) == (3, 5)

    workers.heard(pulse("c", "down"), 2)
    workers.heard(pulse("b"), 50)
    workers.forget_silent(SILENT_SECONDS + 1)

    assert (len(workers), workers.waiting, workers.lost) == (1, 0, 1)


def test_what_workers_published_is_their_sum_however_often_they_say_it() -> None:
    workers = Workers()
    for instance, total in (("a", 5), ("b", 2), ("a", 5), ("a", 9), ("b", 2)):
        workers.heard(pulse(instance, published=total), 0)

    assert workers.published == 11


def test_no_more_workers_are_known_than_memory_is_for() -> None:
    workers = Workers()
    for number in range(MAX_WORKERS + 5):
        workers.heard(pulse(str(number)), 0)
    workers.heard(pulse("0", published=1), 0)

    assert len(workers) == MAX_WORKERS
    assert workers.published == 1


def test_only_the_taps_own_events_are_about_workers() -> None:
    census = Census()
    for component in ("crew-tap", "bridge"):
        beat = {"status": "ok", "instance": "x"}
        census.count(create_system_event(component, "health_check", data=beat))
        census.count(create_system_event(component, "error", error="5 events were lost", lost=5))

    assert (len(census.workers), census.lost) == (1, 5)
    assert census.events == {"system.health_check": 2, "system.error": 2}
