"""The log's positions: what a client keeps, and what they prove when it comes back."""

from bridge.core.connection import Connection
from bridge.core.log import Log
from contracts.positions import StreamPosition
from tests.core.parts import Bench, FakeSocket, event


def _log(*places: tuple[int, int], floor: int = 0, end: StreamPosition | None = None) -> Log:
    """A log of events, by ``seq`` and time."""
    log = Log(1 << 20)
    log.reset("5f-0", floor, end)
    for seq, stored_ns in places:
        log.append(event(seq)._replace(stored_ns=stored_ns))
    return log


def test_a_position_is_the_newest_event_up_to_a_place() -> None:
    log = _log((3, 30), (5, 50), floor=2)

    assert log.position(5) == log.position(9) == (5, 50)
    assert log.position(4) == log.position(3) == (3, 30)


def test_before_anything_was_given_it_is_the_beginning_of_the_stream() -> None:
    assert _log().position(0) == _log().beginning == (0, 0x5F * 1_000)
    assert _log((3, 30)).position(0) == (0, 0x5F * 1_000)
    assert _log((3, 30)).position(2) == (0, 0x5F * 1_000)
    assert _log((3, 30), end=StreamPosition(0, 99)).position(2) == (0, 0x5F * 1_000)


def test_a_place_below_the_ring_has_none() -> None:
    assert _log((13, 30), floor=10, end=StreamPosition(13, 99)).position(9) is None


def test_where_the_ring_has_nothing_so_old_it_is_the_end_that_the_stream_had_when_it_was_looked_at() -> None:
    end = StreamPosition(10, 99)
    log = _log(floor=10, end=end)
    assert log.position(10) == end

    log.append(event(11)._replace(stored_ns=120))
    assert log.position(10) == end
    assert log.position(11) == (11, 120)


def test_what_has_left_the_ring_is_the_position_of_who_stands_at_its_end() -> None:
    log = Log(1_000)
    log.reset("5f-0", 2, StreamPosition(4, 40))
    for seq in (5, 6, 7):
        log.append(event(seq, size=900)._replace(stored_ns=seq * 10))
    log.skip(9)

    assert log.floor == 6
    assert log.position(6) == (6, 60), "not the stream's end before anything of it was read"
    assert log.position(5) is None
    assert log.position(9) == (7, 70)


def test_what_is_no_event_is_a_position_too() -> None:
    log = _log((3, 30))
    log.skip(4, 40)
    assert log.position(4) == (4, 40)

    log.skip(6)
    assert log.position(6) == (4, 40)
    assert log.position(3) == (3, 30)

    log.append(event(7)._replace(stored_ns=70))
    assert log.position(7) == (7, 70)


def test_a_gap_is_no_position() -> None:
    bench = Bench()
    bench.publish(event(3)._replace(stored_ns=30))
    bench.hub.announce_gap(4, 8, "retention")

    assert bench.hub.log.position(8) == (3, 30)


def test_the_log_knows_what_it_holds_and_what_came_in_its_place() -> None:
    log = _log((3, 30), (5, 50))

    assert log.holds(StreamPosition(5, 50))
    assert not log.holds(StreamPosition(5, 40)), "given again, later"
    assert not log.holds(StreamPosition(5, 60)), "given again by a clock that was put back"
    assert log.holds(StreamPosition(4, 40)), "something that is no event, or has expired"
    assert not log.holds(StreamPosition(6, 40)), "what is before it was stored after it"
    assert log.holds(StreamPosition(2, 20)), "nothing is before it"


def test_the_epoch_names_the_newest_position() -> None:
    log = _log((3, 0x30))

    assert (log.created, log.anchor) == ("5f", "5f-3-30")


def test_who_names_a_number_alone_gets_what_follows_and_no_promise_about_what_was_before() -> None:
    bench = Bench()
    bench.publish(event(1), event(2))

    connection = Connection("me", "test", FakeSocket(), 0.0)
    recovery = bench.hub.open(connection, 1, None, is_verified=False)
    assert recovery is not None
    assert (recovery.recovered, recovery.reason, recovery.count) == (False, "unverified", 0)
    other = Connection("other", "test", FakeSocket(), 0.0)
    recovery = bench.hub.open(other, 9, None, is_verified=False)
    assert recovery is not None
    assert recovery.reason == "unknown_cursor"
