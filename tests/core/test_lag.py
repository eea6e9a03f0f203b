"""How far a connection is behind, for those who operate the bridge."""

from bridge.core.entry import Entry
from bridge.core.lag import Lag, lag_of
from tests.core.parts import LIMIT, Bench, event

NOW = 5_000_000_000


def _stored(seq: int, milliseconds_ago: int, size: int = 0, execution: str = "e1") -> Entry:
    entry = event(seq, size=size, execution=execution)
    return entry._replace(stored_ns=NOW - milliseconds_ago * 1_000_000)


def test_who_has_everything_has_no_lag() -> None:
    bench = Bench()
    connection, socket = bench.connect("global")
    bench.publish(_stored(1, 700))
    bench.settle()
    socket.backlog = 12

    assert lag_of(connection, bench.hub.log, NOW) == Lag(0, 12, 0, is_exact=True)


def test_what_a_group_has_not_flushed_counts() -> None:
    bench = Bench()
    connection, _ = bench.connect("global")
    entries = _stored(1, 700), _stored(2, 300)
    bench.publish(*entries)
    bench.hub.announce_gap(3, 4, "retention")

    size = sum(len(entry.frame) for entry in entries)
    assert lag_of(connection, bench.hub.log, NOW) == Lag(2, size, 700, is_exact=True)


def test_who_reads_on_is_behind_by_what_its_view_wants() -> None:
    bench = Bench()
    connection, socket = bench.connect("execution_e1")
    bench.publish(_stored(1, 900))
    socket.is_stuck, socket.backlog = True, LIMIT + 1
    bench.settle()
    wanted = _stored(3, 400)
    bench.publish(_stored(2, 500, execution="e2"), wanted, _stored(4, 100, execution="e2"))

    lag = lag_of(connection, bench.hub.log, NOW)

    assert (lag.events, lag.milliseconds, lag.is_exact) == (1, 400, True)
    assert lag.bytes == len(wanted.frame) + socket.backlog


def test_who_has_fallen_out_of_the_ring_is_behind_by_at_least_that() -> None:
    bench = Bench(max_bytes=5_000)
    bench.publish(*(_stored(seq, 1_000 - seq, size=400) for seq in range(1, 41)))
    connection, _ = bench.connect("execution_e1", since=0)
    floor = bench.hub.log.floor

    lag = lag_of(connection, bench.hub.log, NOW)

    assert (lag.events, lag.milliseconds, lag.is_exact) == (40, 1_000 - floor - 1, False)
    assert lag.bytes > 1_000


def test_a_lag_that_would_take_long_to_count_is_given_as_the_most_that_it_can_be() -> None:
    bench = Bench(max_bytes=1 << 26)
    bench.publish(*(event(seq) for seq in range(1, 9_000)))
    connection, _ = bench.connect("global", since=0)

    lag = lag_of(connection, bench.hub.log, NOW)

    assert (lag.events, lag.milliseconds, lag.is_exact) == (8_999, 0, False)


def test_what_comes_after_a_change_of_the_view_counts_once() -> None:
    bench = Bench()
    connection, socket = bench.connect("global")
    bench.publish(_stored(1, 900))
    socket.is_stuck, socket.backlog = True, LIMIT + 1
    bench.settle()
    bench.publish(_stored(2, 800))
    bench.subscribe(connection, "execution_e2")
    bench.publish(_stored(3, 700))

    lag = lag_of(connection, bench.hub.log, NOW)

    assert (lag.events, lag.milliseconds, lag.is_exact) == (2, 800, True)
