"""The oracle of the chaos tests sees what it is there to see."""

import json
from pathlib import Path
from random import Random
from time import time
from typing import Any

import nats
import pytest

from tests.e2e.chaos.browser import Browser, Shared
from tests.e2e.chaos.crew import Crew
from tests.e2e.chaos.oracle import (
    check_browsers,
    check_given_or_announced,
    check_kept,
    check_stream,
)
from tests.e2e.chaos.record import STREAM, Stored, Truth, read, recorded
from tests.e2e.chaos.views import View, everything, of_execution
from tests.nats_server import NatsServer, served
from tests.waiting import soon, until


def _truth(count: int, expires: float | None = None) -> Truth:
    return {
        seq: Stored({"event_id": f"i{seq}", "execution_id": "e1"}, expires) for seq in range(1, count + 1)
    }


class _Told(Browser):
    """A browser that is told what a test says, in place of a bridge."""

    def __init__(self, view: View | None = None, *, may_lose: bool = False) -> None:
        self.shared = Shared()
        super().__init__(
            *("b", view or View("global", everything), lambda: ("", 0), self.shared, Random(0)),
            may_lose=may_lose,
        )
        self.connected(0)

    def tell(self, message: dict[str, Any]) -> None:
        self.on_text(json.dumps(message, separators=(",", ":")).encode())

    def connected(self, cursor: int, recovery: dict[str, Any] | None = None) -> None:
        data = {
            "epoch": "a",
            "cursor": cursor,
            "position": f"{cursor}-5f",
            "heartbeat_seconds": 1.0,
            "recovery": recovery,
        }
        self.tell({"event_type": "connection.established", "data": data})

    def given(self, *seqs: int) -> None:
        for seq in seqs:
            self.tell({"seq": seq, "position": f"{seq}-5f", "event_id": f"i{seq}", "execution_id": "e1"})

    def told_recovered(self, begin: int, end: int) -> None:
        self.connected(end, {"recovered": True, "reason": "replayed", "from": begin, "to": end})

    def gap(self, begin: int, end: int) -> None:
        self.tell({"type": "gap", "from": begin, "to": end, "reason": "retention"})

    def judged(self, truth: Truth) -> None:
        self.leave()
        check_given_or_announced([self], self.shared, truth)


def test_who_has_everything_passes() -> None:
    browser = _Told()
    browser.given(1, 2, 3)
    browser.judged(_truth(3))
    check_browsers([browser], browser.shared, _truth(3))


def test_a_hole_is_seen() -> None:
    browser = _Told()
    browser.given(1, 3)
    with pytest.raises(AssertionError, match=r"1 missing \[2\]"):
        browser.judged(_truth(3))


def test_a_missing_end_is_seen() -> None:
    browser = _Told()
    browser.given(1, 2)
    with pytest.raises(AssertionError, match=r"1 missing \[3\]"):
        browser.judged(_truth(3))


def test_a_gap_explains_a_hole_of_its_own_bounds_only() -> None:
    browser = _Told()
    browser.gap(1, 2)
    browser.given(4)
    with pytest.raises(AssertionError, match=r"1 missing \[3\]"):
        browser.judged(_truth(4))
    with pytest.raises(AssertionError):
        check_browsers([browser], browser.shared, _truth(4))


def test_an_event_that_comes_twice_is_seen() -> None:
    browser = _Told()
    browser.given(1, 2, 2)
    with pytest.raises(AssertionError, match="given 2 at 2"):
        browser.judged(_truth(2))


def test_a_wrong_order_is_seen() -> None:
    browser = _Told()
    browser.given(2, 1)
    with pytest.raises(AssertionError, match="given 1 at 2"):
        browser.judged(_truth(2))


def test_what_a_view_does_not_want_is_seen() -> None:
    browser = _Told(of_execution("e2"))
    browser.given(1)
    with pytest.raises(AssertionError, match=r"1 surplus \[1\]"):
        browser.judged(_truth(1))


def test_an_event_that_nobody_published_is_seen() -> None:
    browser = _Told()
    browser.given(1, 2)
    with pytest.raises(AssertionError, match=r"1 surplus \[2\]"):
        browser.judged(_truth(1))


def test_an_event_with_another_text_is_seen() -> None:
    browser = _Told()
    browser.tell({"seq": 1, "position": "1-5f", "event_id": "another", "execution_id": "e1"})
    with pytest.raises(AssertionError, match="1 is not what was stored"):
        browser.judged(_truth(1))


def test_recovered_is_false_when_a_gap_follows_where_it_promised_events() -> None:
    browser = _Told(may_lose=True)
    browser.given(1)
    browser.told_recovered(2, 4)
    browser.gap(2, 3)
    browser.given(4)
    with pytest.raises(AssertionError, match="told recovered 2 to 4, without"):
        browser.judged(_truth(4))


def test_a_gap_behind_what_was_recovered_breaks_no_promise() -> None:
    browser = _Told(may_lose=True)
    browser.given(1)
    browser.told_recovered(2, 3)
    browser.given(2, 3)
    browser.gap(4, 4)
    browser.judged(_truth(4))


def test_a_promise_holds_as_long_as_its_connection() -> None:
    browser = _Told(may_lose=True)
    browser.given(1)
    browser.told_recovered(2, 4)
    browser.given(2)
    browser.leave()
    browser.connected(4, {"recovered": False, "reason": "too_old", "from": 3, "to": 4})
    browser.gap(3, 4)
    browser.judged(_truth(4))


def test_not_to_recover_is_a_fault_where_nothing_was_lost() -> None:
    browser = _Told()
    browser.connected(0, {"recovered": False, "reason": "too_old", "from": 1, "to": 1})
    browser.given(1)
    with pytest.raises(AssertionError, match="not recovered"):
        browser.judged(_truth(1))


def test_who_came_late_need_not_have_what_had_expired() -> None:
    browser = _Told()
    browser.given(1, 3)
    browser.judged(_truth(3) | {2: Stored({"event_id": "i2"}, expires=time() - 60)})


def test_who_was_in_time_is_to_have_what_expired_later() -> None:
    browser = _Told()
    browser.given(1, 3)
    with pytest.raises(AssertionError, match=r"1 missing \[2\]"):
        browser.judged(_truth(3) | {2: Stored({"event_id": "i2"}, expires=time() + 60)})


def _acknowledged(*ids: str) -> Crew:
    crew = Crew("", "e1", "c1", Random(0))
    crew.acked.extend(ids)
    return crew


@pytest.mark.parametrize("acked", [["i1", "i3", "i2"], ["i1", "i2"], ["i1", "i2", "i3", "i4"], ["i1"] * 3])
def test_what_was_stored_otherwise_than_acknowledged_is_seen(acked: list[str]) -> None:
    check_stream([_acknowledged("i1", "i2", "i3")], _truth(3))
    with pytest.raises(AssertionError):
        check_stream([_acknowledged(*acked)], _truth(3))


def test_what_the_stream_lost_is_seen_unless_it_had_to_expire() -> None:
    check_kept(_truth(3, expires=time()), {})
    with pytest.raises(AssertionError, match="1 stored events are gone"):
        check_kept(_truth(3), _truth(2))


async def _store(url: str, number: int, **headers: str) -> None:
    client = await nats.connect(url)
    try:
        body = json.dumps({"event_id": f"i{number}"}).encode()
        await client.jetstream().publish("task.completed", body, headers=headers or None)
    finally:
        await client.close()


async def test_the_record_has_what_expired_meanwhile_and_what_came_while_nats_was_away(
    tmp_path: Path,
) -> None:
    server = NatsServer(tmp_path)
    server.start()
    try:
        await server.make_stream()
        async with recorded(server.url) as record:
            await _store(server.url, 1)
            await _store(server.url, 2, **{"Nats-TTL": "8s"})
            await until(lambda: len(record.truth) == 2)
            server.kill()
            server.start()
            await _store(server.url, 3)
            await soon(lambda: _is_gone(server.url, 2), seconds=60)
            truth = await record.complete()
    finally:
        server.stop()

    assert [(seq, event.body["event_id"]) for seq, event in truth.items()] == [
        (1, "i1"),
        (2, "i2"),
        (3, "i3"),
    ]
    assert [event.expires is None for event in truth.values()] == [True, False, True]


async def _is_gone(url: str, seq: int) -> bool:
    return seq not in await read(url)


async def test_all_of_a_long_stream_is_read(tmp_path: Path) -> None:
    with served(tmp_path) as url:
        client = await nats.connect(url)
        await client.jetstream().add_stream(name=STREAM, subjects=["task.*"])
        for number in range(1, 1234):
            await client.publish("task.completed", json.dumps({"event_id": f"i{number}"}).encode())
        await client.flush()
        await client.close()

        truth = await read(url)

    assert [event.body["event_id"] for event in truth.values()] == [f"i{number}" for number in range(1, 1234)]
    assert list(truth) == list(range(1, 1234))
