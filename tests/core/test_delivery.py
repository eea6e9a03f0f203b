"""From groups and log to sockets: what is written when, and who waits for room."""

from typing import Final

import pytest

from bridge.core.connection import Connection
from bridge.core.delivery import MAX_BATCH, WRITES_A_STEP
from bridge.core.group import Group
from bridge.core.socket import CloseCode
from bridge.core.view import View
from contracts.filters import EventFilter
from tests.core.parts import LIMIT, Bench, FakeSocket, event, frames, seqs

BIG: Final = 100_000


def test_everybody_at_the_head_with_equal_views_is_given_the_same_bytes() -> None:
    bench = Bench()
    _, one = bench.connect("global", client_id="one")
    _, two = bench.connect("*.*", client_id="two")

    bench.publish(event(1), event(2))
    bench.settle()

    assert (len(bench.hub.router), bench.hub.router.live) == (1, 2)
    assert len(one.written) == len(two.written) == 1
    assert one.written[0] is two.written[0]


def test_a_filter_narrows_what_a_group_is_given() -> None:
    bench = Bench()
    _, socket = bench.connect("global", filter=EventFilter(types=frozenset({"task.*"})))

    bench.publish(event(1), event(2, "task.completed"))
    bench.settle()

    assert seqs(socket) == [2]


def test_a_full_socket_leaves_its_group_delays_nobody_and_loses_nothing() -> None:
    bench = Bench()
    slow, stuck = bench.connect("global", client_id="slow")
    _, fast = bench.connect("global", client_id="fast")
    stuck.is_stuck = True

    for seq in range(1, 10):
        bench.publish(event(seq, size=500))
        bench.settle()
    assert seqs(fast) == list(range(1, 10))
    assert stuck.backlog <= LIMIT + 1000
    assert (slow.group, bench.hub.counters.fell_behind, bench.hub.readers) == (None, 1, 0)
    assert slow in bench.full

    stuck.is_stuck, stuck.backlog = False, 0
    bench.hub.drained(slow)
    assert bench.hub.readers == 1
    bench.settle()
    assert seqs(stuck) == list(range(1, 10))
    assert slow.group is not None


def test_room_for_a_connection_that_is_live_or_closed_changes_nothing() -> None:
    bench = Bench()
    live, socket = bench.connect("global")

    bench.hub.drained(live)
    bench.hub.close(live, CloseCode.STALE, "")
    bench.hub.drained(live)

    assert socket.closed == (CloseCode.STALE, "")
    assert (len(bench.hub.router), bench.hub.readers) == (0, 0)


def test_a_reader_whose_socket_filled_meanwhile_is_not_written_to() -> None:
    bench = Bench()
    bench.publish(event(1))
    reader, socket = bench.connect("global", since=0)
    socket.backlog = LIMIT + 1

    bench.settle()
    assert (socket.written, bench.full) == ([], [reader])

    socket.backlog = 0
    bench.hub.drained(reader)
    bench.settle()
    assert seqs(socket) == [1]


def test_a_reader_that_closes_or_arrives_before_its_turn_is_passed_over() -> None:
    bench = Bench()
    bench.publish(event(1))
    first, _ = bench.connect("global", client_id="first", since=0)
    gone, nothing = bench.connect("global", client_id="gone", since=0)
    flush = bench.hub.flush()
    next(flush)

    bench.hub.close(gone, CloseCode.DISCONNECTED, "")
    list(flush)

    assert nothing.written == []
    assert first.group is not None


def test_what_is_written_at_once_is_bounded_also_for_who_is_behind() -> None:
    bench = Bench(max_bytes=1 << 24, limit=MAX_BATCH)
    bench.publish(*(event(seq, size=BIG) for seq in range(1, 9)), event(9, size=3 * BIG))

    for client_id, batch in (("plain", False), ("batch", True)):
        _, socket = bench.connect("global", client_id=client_id, since=0, batch=batch)
        bench.settle()
        assert seqs(socket) == list(range(1, 10))
        assert [len(list(frames(data))) for data in socket.written] == ([1] * 5 if batch else [2] * 4 + [1])
        assert all(len(data) <= MAX_BATCH for data in socket.written[:-1])


@pytest.mark.parametrize("limit", [LIMIT, 3 * MAX_BATCH])
def test_who_is_behind_is_given_no_more_than_its_socket_may_hold(limit: int) -> None:
    bench = Bench(max_bytes=1 << 24, limit=limit)
    bench.publish(*(event(seq, size=400) for seq in range(1, 4001)))
    reader, socket = bench.connect("global", since=0)
    socket.is_stuck = True

    bench.settle()
    assert limit < socket.backlog <= limit + 1000
    assert bench.full == [reader]

    socket.is_stuck = False
    socket.backlog = 0
    bench.hub.drained(reader)
    bench.settle()
    assert seqs(socket) == list(range(1, 4001))


@pytest.mark.parametrize("how", ["flush", "address", "change"])
def test_a_batch_is_bounded_whatever_makes_it_leave(how: str) -> None:
    bench = Bench(max_bytes=1 << 24)
    connection, socket = bench.connect("global", batch=True)
    bench.publish(*(event(seq, size=BIG) for seq in range(1, 6)))

    if how == "address":
        bench.publish(event(6, client_id="me"))
    if how == "change":
        bench.hub.change_view(connection)
    bench.settle()

    assert seqs(socket)[:5] == [1, 2, 3, 4, 5]
    assert all(len(data) <= MAX_BATCH for data in socket.written)


def test_a_scan_that_finds_little_is_cut_into_steps() -> None:
    bench = Bench(max_bytes=1 << 24)
    bench.publish(*(event(seq, agent_id="a1" if seq % 1000 == 0 else "a2") for seq in range(1, 4001)))

    _, socket = bench.connect("global", since=0, filter=EventFilter(agents=frozenset({"a1"})))
    steps = sum(1 for _ in bench.hub.flush())
    while bench.hub.readers:
        steps += sum(1 for _ in bench.hub.flush())

    assert seqs(socket) == [1000, 2000, 3000, 4000]
    assert steps == 4


def test_what_comes_while_a_flush_pauses_leaves_with_it_or_with_the_next() -> None:
    bench = Bench()
    _, one = bench.connect("global", client_id="one")
    _, two = bench.connect("crew_c1", client_id="two")
    bench.publish(event(1, crew="c1"))
    bench.is_woken = False
    flush = bench.hub.flush()
    next(flush)

    bench.publish(event(2, crew="c1"))
    assert bench.is_woken
    list(flush)
    assert (seqs(one), seqs(two)) == ([1], [1, 2])
    bench.settle()
    assert (seqs(one), seqs(two)) == ([1, 2], [1, 2])


def test_a_member_that_leaves_while_a_flush_pauses_is_left_alone() -> None:
    bench = Bench()
    bench.connect("global", client_id="one")
    gone, socket = bench.connect("global", client_id="gone")
    bench.publish(event(1))
    flush = bench.hub.flush()
    next(flush)

    bench.hub.close(gone, CloseCode.DISCONNECTED, "")
    list(flush)

    assert socket.written == []


def test_a_look_back_from_the_head_repeats_nothing_when_the_socket_fills_later() -> None:
    bench = Bench()
    bench.publish(event(1))
    connection, socket = bench.connect("crew_c1")
    bench.subscribe(connection, "global", since=1)
    bench.publish(event(2))
    bench.settle()
    socket.is_stuck, socket.backlog = True, LIMIT + 1
    bench.publish(event(3))
    bench.settle()

    socket.is_stuck, socket.backlog = False, 0
    bench.hub.drained(connection)
    bench.settle()

    assert seqs(socket) == [2, 3]


def test_a_member_that_joins_while_a_flush_pauses_is_given_nothing_twice() -> None:
    bench = Bench()
    bench.connect("global", client_id="one")
    late, socket = bench.connect("global", client_id="late")
    bench.publish(event(1), event(2))
    flush = bench.hub.flush()
    next(flush)

    bench.publish(event(3, client_id="late"))
    assert seqs(socket) == [1, 2, 3]
    bench.hub.change_view(late)
    list(flush)
    bench.settle()

    assert seqs(socket) == [1, 2, 3]


def test_a_group_holds_for_each_member_what_its_position_says() -> None:
    group: Group[str] = Group(View(frozenset()))
    group.join("one")
    group.pending = [event(1), event(2)]
    flying = group.take()
    group.pending.append(event(3))

    assert [entry.seq for entry in flying] == [1, 2]
    assert [entry.seq for entry in group.held(0)] == [1, 2, 3]
    assert [entry.seq for entry in group.held(2)] == [3]

    group.landed()
    assert [entry.seq for entry in group.held(0)] == [3]


def test_the_members_of_a_group_are_a_snapshot_until_they_change() -> None:
    group: Group[str] = Group(View(frozenset()))
    group.join("one")
    before = group.members

    assert group.members is before
    group.join("two")
    assert (before, group.members, len(group)) == (("one",), ("one", "two"), 2)
    group.leave("one")
    assert group.members == ("two",)


def test_a_client_may_be_handed_a_socket_that_is_full_already() -> None:
    bench = Bench()
    socket = FakeSocket()
    socket.backlog = LIMIT + 1
    connection = Connection("me", "test", socket, 0.0)

    bench.hub.open(connection)

    assert (bench.full, connection.group) == ([connection], None)


def test_an_addressed_event_may_be_what_fills_a_socket() -> None:
    bench = Bench()
    connection, socket = bench.connect("global")
    socket.is_stuck, socket.backlog = True, LIMIT

    bench.publish(event(1, client_id="me"))

    assert seqs(socket) == [1]
    assert (bench.full, connection.group) == ([connection], None)


def test_what_one_reader_missed_is_joined_once_for_all_who_missed_the_same() -> None:
    bench = Bench()
    bench.publish(*(event(seq, crew=f"c{seq % 2}") for seq in range(1, 41)))
    same = [bench.connect("crew_c1", client_id=f"same{n}", since=4)[1] for n in range(3)]
    others = [bench.connect("global", client_id=f"other{n}", since=n)[1] for n in range(30)]
    batch = bench.connect("crew_c1", client_id="batch", since=4, batch=True)[1]
    bench.settle()

    assert same[0].written[0] is same[1].written[0] is same[2].written[0]
    assert seqs(same[0]) == seqs(batch) == list(range(5, 41, 2))
    assert all(seqs(socket) == list(range(n + 1, 41)) for n, socket in enumerate(others))


def test_what_is_addressed_to_one_reader_is_joined_for_it_alone() -> None:
    bench = Bench()
    bench.publish(event(1), event(2, client_id="one"), event(3))
    sockets = [bench.connect("global", client_id=name, since=0)[1] for name in ("one", "two", "three")]
    bench.settle()

    assert [seqs(socket) for socket in sockets] == [[1, 2, 3], [1, 3], [1, 3]]


def test_a_flush_pauses_after_a_few_writes_however_they_are_spread_over_groups() -> None:
    bench = Bench(writes_a_step=WRITES_A_STEP)
    for number in range(2 * WRITES_A_STEP):
        bench.connect("global", client_id=f"all{number}")
        bench.connect(f"crew_c{number}", client_id=f"one{number}")
    bench.publish(*(event(number + 1, crew=f"c{number}") for number in range(2 * WRITES_A_STEP)))

    steps = sum(1 for _ in bench.hub.flush())

    assert steps == 4
