"""The hub: connections come and go, look back, and are told what is missing."""

import pytest

from bridge.core.connection import Connection
from bridge.core.cursor import MAX_GIVEN
from bridge.core.history import Chunk
from bridge.core.socket import CloseCode
from contracts.subscriptions import parse_subscription
from tests.core.parts import LIMIT, Bench, FakeSocket, event, messages, seqs


def test_an_addressed_event_reaches_its_addressee_only_and_in_its_place() -> None:
    bench = Bench()
    _, mine = bench.connect("crew_c1", client_id="me")
    _, other = bench.connect("global", client_id="other")

    bench.publish(
        event(1, crew="c1"), event(2, client_id="me"), event(3, client_id="nobody"), event(4, crew="c1")
    )
    bench.settle()

    assert seqs(mine) == [1, 2, 4]
    assert seqs(other) == [1, 4]


def test_a_gap_is_told_to_everybody_and_to_who_reads_across_it_later() -> None:
    bench = Bench()
    _, empty = bench.connect(client_id="empty")
    bench.publish(event(1))
    bench.hub.announce_gap(2, 4, "retention")
    bench.publish(event(5))
    _, late = bench.connect("global", client_id="late", since=0)
    bench.settle()

    gap = {"type": "gap", "from": 2, "to": 4, "reason": "retention"}
    assert messages(empty) == [gap]
    assert messages(late)[1] == gap
    assert seqs(late) == [1, 5]
    assert bench.hub.counters.gaps == {"retention": 1}


def test_a_look_back_tells_of_a_gap_that_the_connection_was_not_told_of() -> None:
    bench = Bench()
    bench.publish(event(1))
    bench.hub.announce_gap(2, 4, "retention")
    connection, socket = bench.connect()

    bench.subscribe(connection, "global", since=0)
    bench.settle()
    bench.subscribe(connection, "crew_c1", since=0)
    bench.settle()

    assert [message.get("seq", message.get("type")) for message in messages(socket)] == [1, "gap"]


def test_who_is_sent_away_gets_first_what_is_due() -> None:
    bench = Bench()
    connection, socket = bench.connect("global")
    bench.settle()
    bench.publish(event(1))

    bench.hub.send_away(connection, CloseCode.GOING_AWAY, "later")

    assert seqs(socket) == [1]
    assert socket.closed == (CloseCode.GOING_AWAY, "later")
    assert not bench.hub.connections


def test_what_ring_and_stream_have_lost_is_announced_with_exact_bounds() -> None:
    bench = Bench(max_bytes=3_000)
    bench.publish(*(event(seq, size=400) for seq in range(1, 20)))
    bench.stream.forget(8)
    assert bench.hub.log.floor > 8

    _, socket = bench.connect("global", since=3)
    bench.settle_with_stream()

    assert messages(socket)[0] == {"type": "gap", "from": 4, "to": 7, "reason": "too_old"}
    assert seqs(socket) == list(range(8, 20))
    assert bench.hub.counters.gaps == {"too_old": 1}
    assert bench.hub.counters.messages_out == len(messages(socket))


def test_where_a_client_can_go_on_is_safe_while_it_looks_back() -> None:
    bench = Bench()
    connection, socket = bench.connect("crew_c1")
    bench.publish(event(1, crew="c2"), event(2, crew="c1"))
    bench.settle()
    socket.backlog = LIMIT + 1

    bench.subscribe(connection, "crew_c2", since=0)

    assert seqs(socket) == [2]
    assert connection.resume_point(bench.hub.log.head) == 0


def test_where_a_client_can_go_on_moves_with_what_it_is_given_while_it_looks_back() -> None:
    """Else a heartbeat would send who is cut off to where it began, and all would be given twice."""
    bench = Bench()
    connection, socket = bench.connect()
    bench.publish(*(event(seq, crew="c1", size=300) for seq in range(1, 51)))
    bench.settle()
    socket.is_stuck = True

    bench.subscribe(connection, "crew_c1", since=10)
    bench.settle()

    given = seqs(socket)[-1]
    assert 10 < given < 50
    assert connection.resume_point(bench.hub.log.head) == given


def test_of_two_looks_back_the_later_one_says_where_a_client_can_go_on() -> None:
    bench = Bench()
    connection, socket = bench.connect()
    bench.publish(*(event(seq, crew=f"c{seq % 2}", size=300) for seq in range(1, 51)))
    bench.settle()
    socket.is_stuck = True

    bench.subscribe(connection, "crew_c1", since=10)
    bench.subscribe(connection, "crew_c0", since=5)
    bench.settle()

    assert connection.resume_point(bench.hub.log.head) == 5


@pytest.mark.parametrize(("since", "follow"), [(0, 14), (8, 6), (10, 4), (15, 4)])
@pytest.mark.parametrize("is_newest", [False, True])
def test_a_gap_that_is_known_already_is_never_called_recovered(
    since: int, follow: int, *, is_newest: bool
) -> None:
    bench = Bench()
    bench.publish(*(event(seq) for seq in range(1, 11)))
    bench.hub.announce_gap(11, 20, "retention")
    if not is_newest:
        bench.publish(*(event(seq) for seq in range(21, 25)))
    connection, socket = bench.connect("global", since=bench.hub.log.head)

    recovery = bench.subscribe(connection, "custom_updates", since=since, epoch="e0")
    bench.settle()

    assert recovery is not None
    assert (recovery.recovered, recovery.reason) == (False, "too_old")
    assert recovery.count == follow - 4 * is_newest
    assert [m["from"] for m in messages(socket) if m.get("type") == "gap"] == [11]


def test_a_gap_before_the_cursor_is_nothing_to_its_client() -> None:
    bench = Bench()
    bench.publish(event(1))
    bench.hub.announce_gap(2, 3, "retention")
    bench.publish(event(4))
    connection, _ = bench.connect()

    recovery = bench.subscribe(connection, "global", since=3, epoch="e0")

    assert recovery is not None
    assert (recovery.recovered, recovery.count) == (True, 1)


def test_what_was_read_of_another_stream_is_not_counted() -> None:
    """It was made anew while the client was on its way in."""
    bench = Bench(floor=9)
    everything = frozenset({parse_subscription("global").pattern})
    before = Chunk("e-", everything, 0, 9, tuple(event(seq) for seq in range(1, 6)))
    connection = Connection("me", "test", FakeSocket(), 0.0)
    connection.subscriptions = {"global": parse_subscription("global")}

    recovery = bench.hub.open(connection, 0, "e-", before)

    assert recovery is not None
    assert (recovery.reason, recovery.count) == ("stream_reset", None)


def test_who_changes_the_view_too_often_is_told_how_far_back_it_can_look() -> None:
    bench = Bench()
    connection, socket = bench.connect("crew_c1")
    for seq in range(1, 2 * MAX_GIVEN):
        bench.publish(event(seq))
        bench.hub.change_view(connection)

    recovery = bench.subscribe(connection, "global", since=0)
    bench.settle()

    assert recovery is not None
    assert (recovery.recovered, recovery.reason) == (False, "too_many")
    assert recovery.from_ > 1
    assert seqs(socket) == list(range(recovery.from_, 2 * MAX_GIVEN))
    assert recovery.count == len(seqs(socket))


def test_what_a_connection_remembers_of_its_past_is_bounded() -> None:
    bench = Bench()
    connection, _ = bench.connect("global")
    for seq in range(1, 3 * MAX_GIVEN):
        bench.publish(event(seq))
        bench.hub.change_view(connection, since=0)
        bench.settle()

    past = connection.cursor._given
    assert len(past) <= MAX_GIVEN
    assert not any(segment.unless for segment in past)


def test_the_newest_connection_of_a_client_replaces_the_one_before() -> None:
    bench = Bench()
    _, old = bench.connect("global", client_id="me")
    new, socket = bench.connect("global", client_id="me")

    bench.publish(event(1), event(2, client_id="me"))
    bench.settle()

    assert old.closed is not None
    assert old.closed[0] == CloseCode.REPLACED
    assert seqs(socket) == [1, 2]
    assert bench.hub.connections == {"me": new}
    assert bench.hub.counters.closed == {CloseCode.REPLACED: 1}


def test_a_new_stream_ends_every_connection_and_begins_a_new_log() -> None:
    bench = Bench()
    _, socket = bench.connect("global")
    bench.publish(event(1))

    bench.hub.reset("e1", 7)
    bench.settle()

    assert socket.closed is not None
    assert socket.closed[0] == CloseCode.STREAM_RESET
    assert (bench.hub.log.epoch, bench.hub.log.head, bench.hub.connections) == ("e1", 7, {})


def test_what_is_no_event_is_counted_and_passed() -> None:
    bench = Bench()
    connection, socket = bench.connect("global")

    bench.hub.reject(3, "event_type")

    assert bench.hub.counters.rejected == {"event_type": 1}
    assert connection.resume_point(bench.hub.log.head) == 3
    assert socket.written == []


def test_what_came_and_went_is_counted() -> None:
    bench = Bench()
    one, socket = bench.connect("global", client_id="one")
    bench.connect("global", client_id="two")
    bench.publish(event(1), event(2, "task.completed"))
    bench.settle()

    counters = bench.hub.counters
    assert counters.events_in == {"custom": 1, "task": 1}
    assert counters.delivered == {"custom": 2, "task": 2}
    assert (counters.writes, counters.messages_out) == (2, 4)
    assert counters.bytes_out == 2 * len(socket.written[0])
    assert (one.events_sent, one.messages_sent, one.bytes_sent) == (2, 2, len(socket.written[0]))
    assert counters.opened == {"test": 2}


def test_a_flush_counts_once_however_many_hear_it() -> None:
    """A gap has no age; a clock behind the stream's makes none below zero."""
    bench = Bench()
    bench.connect("global", client_id="one")
    bench.connect("global", client_id="two")
    for first, seconds in ((1, 3), (3, -1)):
        bench.now = seconds * 1_000_000_000
        bench.publish(event(first)._replace(stored_ns=1_000), event(first + 1)._replace(stored_ns=bench.now))
        bench.settle()
    bench.hub.announce_gap(5, 6, "retention")
    bench.settle()

    counters = bench.hub.counters
    assert (sum(counters.flush_events.counts), counters.flush_events.total) == (3, 5)
    assert (sum(counters.event_age.counts), counters.event_age.total) == (2, 2_999_999)


def test_a_flush_that_reached_nobody_is_none() -> None:
    bench = Bench()
    connection, _ = bench.connect("global")
    bench.publish(event(1))
    bench.hub.close(connection, CloseCode.STALE, "")
    bench.settle()

    assert sum(bench.hub.counters.flush_events.counts) == 0


def test_a_connection_ends_once() -> None:
    bench = Bench()
    connection, socket = bench.connect("global")

    bench.hub.close(connection, CloseCode.STALE, "first")
    bench.hub.close(connection, CloseCode.DISCONNECTED, "second")

    assert socket.closed == (CloseCode.STALE, "first")
    assert bench.hub.counters.closed == {CloseCode.STALE: 1}


@pytest.mark.parametrize(
    ("since", "epoch", "reason", "received"),
    [
        (1, "e0", "replayed", [2, 3]),
        (1, None, "replayed", [2, 3]),
        (3, "e0", "nothing_missed", []),
        (2, "before", "stream_reset", [1, 2, 3]),
        (9, "e0", "unknown_cursor", []),
    ],
)
def test_a_client_is_told_what_became_of_its_cursor(
    since: int, epoch: str | None, reason: str, received: list[int]
) -> None:
    bench = Bench()
    bench.publish(event(1), event(2), event(3))
    connection, socket = bench.connect()

    recovery = bench.subscribe(connection, "global", since, epoch)
    bench.settle()

    assert recovery is not None
    assert (recovery.reason, recovery.count) == (reason, len(received))
    assert recovery.recovered is (reason in {"replayed", "nothing_missed"})
    assert seqs(socket) == received


def test_an_addressed_event_that_the_view_wants_too_is_read_once() -> None:
    bench = Bench()
    bench.publish(event(1, execution="e1"), event(2, execution="e1", client_id="me"))

    _, socket = bench.connect("execution_e1", since=0)
    bench.publish(event(3, client_id="me"))
    bench.settle()

    assert seqs(socket) == [1, 2, 3]


def test_a_long_absence_is_replayed_without_being_counted() -> None:
    bench = Bench(max_bytes=1 << 26)
    bench.publish(*(event(seq) for seq in range(1, 9_000)))
    connection, socket = bench.connect()

    recovery = bench.subscribe(connection, "global", since=0)
    bench.settle()

    assert recovery is not None
    assert (recovery.reason, recovery.count, recovery.to) == ("replayed", None, 8_999)
    assert seqs(socket) == list(range(1, 9_000))


def test_endpoints_are_counted_and_stay_known_when_nobody_is_there() -> None:
    bench = Bench()
    connection, _ = bench.connect()

    assert bench.hub.endpoints() == {"test": 1}
    bench.hub.close(connection, CloseCode.DISCONNECTED, "")
    assert dict(bench.hub.endpoints()) == {"test": 0}


def test_who_watches_is_told_of_every_event_before_anybody_is_given_it() -> None:
    bench = Bench()
    _, socket = bench.connect("global")
    seen: list[tuple[int, int, int]] = []
    bench.hub.watchers[lambda entry: seen.append((entry.seq, bench.hub.log.head, len(socket.written)))] = None

    bench.publish(event(1), event(3, client_id="nobody"))
    bench.settle()

    assert seen == [(1, 1, 0), (3, 3, 0)]
