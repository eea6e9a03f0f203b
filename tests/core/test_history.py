"""Who looks back beyond the ring: what is asked of the stream, when, and what becomes of the answer."""

import gc
import json

import pytest

from bridge.core.addressed import Addressed
from bridge.core.commands import answer, start_of
from bridge.core.history import Chunk, Request
from bridge.core.lasting import Lasting
from bridge.core.socket import CloseCode
from bridge.core.start import Found, Start
from bridge.core.view import View
from contracts.messages import Error, Subscribed
from contracts.positions import StreamPosition
from contracts.subjects import ANY, Pattern
from contracts.subscriptions import crew, parse_subscription
from tests.core.parts import LIMIT, Bench, event, messages, seqs

ALL = frozenset({Pattern(ANY, ANY, ANY, ANY)})
_GLOBAL = View(ALL)


def _bench(count: int = 40, **fields: str) -> Bench:
    """A ring that has forgotten most of ``count`` events of 400 bytes."""
    bench = Bench(max_bytes=5_000)
    bench.publish(*(event(seq, size=400, execution=f"e{seq % 2}", **fields) for seq in range(1, count + 1)))
    assert 20 < bench.hub.log.floor < count
    return bench


def test_what_is_older_than_the_ring_is_asked_for_and_comes_in_order() -> None:
    bench = _bench()
    connection, socket = bench.connect("global", since=3)
    bench.settle()

    assert bench.stream.asked == [Request("e0", ALL, 3, 0)]
    assert bench.stream.asked[0].upto == bench.hub.log.floor
    assert (bench.hub.waiting, bench.hub.readers, socket.written) == (1, 0, [])

    assert bench.settle_with_stream(most=10) > 1
    assert seqs(socket) == list(range(4, 41))
    assert connection.group is not None


def test_all_who_want_the_same_ask_once_and_share_the_answer() -> None:
    bench = _bench()
    sockets = [bench.connect("execution_e1", client_id=f"c{n}", since=2)[1] for n in range(5)]
    bench.settle()

    assert len(bench.stream.asked) == 1
    assert bench.hub.counters.shared_requests == 4
    bench.settle_with_stream()
    assert all(seqs(socket) == list(range(3, 41, 2)) for socket in sockets)


def test_who_has_gone_or_wants_something_else_waits_no_more() -> None:
    bench = _bench()
    gone, _ = bench.connect("global", client_id="gone", since=3)
    other, socket = bench.connect("global", client_id="other", since=3)
    bench.settle()
    (request,) = bench.stream.asked

    bench.hub.close(gone, CloseCode.DISCONNECTED, "")
    assert bench.hub.is_wanted(request)
    other.subscriptions.clear()
    bench.subscribe(other, "execution_e1")
    bench.settle()
    assert not bench.hub.is_wanted(request)

    bench.hub.supply(request, bench.stream.read(request))
    bench.settle_with_stream()
    assert seqs(socket) == list(range(5, 41, 2))


def test_room_that_comes_while_a_connection_waits_asks_nothing_again() -> None:
    bench = _bench()
    connection, _ = bench.connect("global", since=3)
    bench.settle()

    bench.hub.drained(connection)
    bench.settle()

    assert len(bench.stream.asked) == 1


def test_who_has_no_room_for_the_answer_asks_again_when_it_has() -> None:
    bench = _bench()
    connection, socket = bench.connect("global", since=3)
    bench.settle()
    socket.backlog = LIMIT + 1
    bench.settle_with_stream()
    assert (bench.stream.asked, socket.written, bench.hub.waiting) == ([], [], 0)

    socket.backlog = 0
    bench.hub.drained(connection)
    bench.settle_with_stream()
    assert seqs(socket) == list(range(4, 41))


def test_an_answer_for_other_patterns_does_not_serve_the_next_part() -> None:
    """A look back follows what was still unread; the answer to the one is not that to the other."""
    bench = _bench()
    connection, socket = bench.connect("execution_e0", since=0)
    bench.settle()
    bench.subscribe(connection, "execution_e1", since=0)
    bench.settle_with_stream()

    assert seqs(socket) == [*range(2, 41, 2), *range(1, 41, 2)]


def test_addressed_events_are_found_under_their_own_subjects() -> None:
    bench = Bench(max_bytes=5_000)
    bench.publish(event(1, crew="c9", client_id="me"), event(2, crew="c8", client_id="other"))
    bench.publish(*(event(seq, size=400) for seq in range(3, 30)))

    _, socket = bench.connect("crew_c1", client_id="me", since=0)
    bench.settle()

    patterns = {Pattern(ANY, ANY, "c1", ANY), Pattern("custom", "note", "c9", "_")}
    assert [request.patterns for request in bench.stream.asked] == [patterns]
    bench.settle_with_stream()
    assert seqs(socket) == [1]


def test_an_addressed_event_in_the_ring_is_not_asked_for_though_the_stream_has_lost_it() -> None:
    bench = Bench(max_bytes=5_000)
    bench.publish(*(event(seq, size=400) for seq in range(1, 30)), event(30, crew="c9", client_id="me"))
    bench.stream.forget(31)
    floor = bench.hub.log.floor

    _, socket = bench.connect("crew_c1", client_id="me", since=2)

    assert bench.settle_with_stream() == 1
    assert messages(socket)[0] == {"type": "gap", "from": 3, "to": floor, "reason": "too_old"}
    assert seqs(socket) == [30]


def test_who_was_known_before_the_log_began_is_read_everything() -> None:
    bench = Bench(floor=50)

    bench.connect("crew_c1", client_id="known", since=10)
    fresh, _ = bench.connect("crew_c1", client_id="fresh")
    fresh.is_known = False
    bench.hub.close(fresh, CloseCode.DISCONNECTED, "")
    fresh.is_open = True
    bench.hub.open(fresh, 10)
    bench.settle()

    assert [request.patterns for request in bench.stream.asked] == [ALL, {Pattern(ANY, ANY, "c1", ANY)}]


def test_only_so_many_addressed_events_are_remembered() -> None:
    addressed = Addressed(0, most=2)
    for seq, client in ((1, "a"), (2, "b"), (3, "a"), (4, "c")):
        addressed.add(event(seq, crew=f"c{seq}", client_id=client), client)

    assert addressed.known_from == 2
    assert [subject.crew_id for subject in addressed.subjects("a", 0, 9)] == ["c3"]
    assert list(addressed.subjects("b", 0, 9)) == []
    assert list(addressed.subjects("c", 4, 9)) == list(addressed.subjects("c", 0, 3)) == []


def test_what_the_stream_has_lost_is_known_to_the_next_who_asks() -> None:
    bench = _bench()
    bench.stream.forget(11)
    _, first = bench.connect("global", client_id="first", since=3)
    bench.settle_with_stream()

    assert messages(first)[0] == {"type": "gap", "from": 4, "to": 10, "reason": "too_old"}
    connection, socket = bench.connect(client_id="second")
    old = bench.subscribe(connection, "global", since=3, epoch="e0")
    bench.settle_with_stream()
    assert old is not None
    assert (old.recovered, old.reason, old.from_) == (False, "too_old", 4)
    assert messages(socket)[0]["type"] == "gap"


def test_everything_that_is_kept_is_no_gap_when_the_beginning_is_known_to_be_gone() -> None:
    bench = _bench()
    bench.stream.forget(11)
    bench.connect("global", client_id="first", since=3)
    bench.settle_with_stream()

    connection, socket = bench.connect(client_id="second")
    kept = bench.subscribe(connection, "global", since=0)
    bench.settle_with_stream()

    assert kept is not None
    assert (kept.recovered, kept.reason, kept.from_) == (True, "replayed", 11)
    assert seqs(socket) == list(range(11, 41))
    assert len(messages(socket)) == 30


def test_what_the_stream_has_lost_is_taken_from_the_ring_where_that_has_it() -> None:
    """The answer reaches beyond what was asked for, where there is an event for this client alone."""
    bench = _bench()
    bench.publish(event(41, crew="c9", client_id="me"))
    bench.stream.forget(42)
    _, socket = bench.connect("global", client_id="me", since=3)
    bench.settle_with_stream()

    floor = bench.hub.log.floor
    assert messages(socket)[0] == {"type": "gap", "from": 4, "to": floor, "reason": "too_old"}
    assert seqs(socket) == list(range(floor + 1, 42))


def test_an_answer_for_another_stream_is_ignored() -> None:
    bench = _bench()
    bench.connect("global", since=3)
    bench.settle()
    (request,) = bench.stream.asked

    bench.hub.reset("e1", 0)
    bench.hub.supply(request, Chunk("e0", ALL, 3, 20, (), (4, 20)))

    assert bench.hub.log.first == 0
    assert not bench.hub.is_wanted(request)


def test_a_command_says_where_it_looks_back_to_and_for_what() -> None:
    bench = Bench()
    connection, _ = bench.connect("crew_c1")
    subscribe = {"action": "subscribe", "subscriptions": ["crew_c2"]}

    def start(**place: object) -> Start | None:
        found = start_of(connection, json.dumps(subscribe | place))
        assert found is None or found[0] == View(frozenset({crew("c2").pattern}))
        return found and found[1]

    assert start() is None
    assert start(since=7, epoch="e0") == Start(since=7, epoch="e0")
    assert start(since="7-5f") == Start(since=7, mark=StreamPosition(7, 0x5F))
    assert start(since=7, epoch="e0-8-60") == Start(since=7, epoch="e0", mark=StreamPosition(8, 0x60))
    assert start(last=5) == Start(last=5)
    assert start(since_time="1970-01-01T00:00:01Z") == Start(time_ns=1_000_000_000)
    assert start(since=7, last=5) is None
    assert start_of(connection, '{"action":"subscribe","subscriptions":["nonsense"],"since":7}') is None
    assert start_of(connection, '{"action":"ping"}') is None


@pytest.mark.parametrize("place", [{"since": 5}, {"last": 5}, {"since_time": "2026-11-24T12:00:00Z"}])
def test_what_only_the_stream_knows_is_not_guessed(place: dict[str, object]) -> None:
    bench = Bench()
    connection, _ = bench.connect()
    text = json.dumps({"action": "subscribe", "subscriptions": ["global"]} | place)

    for found in (None, Found(is_found=False)):
        said = answer(bench.hub, connection, text, found)
        assert isinstance(said, Error)
        assert said.code == "unavailable"
    assert connection.errors == 0
    said = answer(bench.hub, connection, text, Found(0, "e0"))
    assert isinstance(said, Subscribed)
    assert said.recovery is not None


def test_a_cursor_is_judged_by_what_the_stream_said_and_counted() -> None:
    bench = _bench()
    bench.stream.forget(11)
    view = View(frozenset({parse_subscription("global").pattern}))
    connection, socket = bench.connect()
    request = bench.hub.question(connection, view, 3, "e0", is_backfill=True)
    assert request == Request("e0", ALL, 3, 0)

    connection.subscriptions["global"] = parse_subscription("global")
    recovery = bench.hub.change_view(connection, since=3, epoch="e0", chunk=bench.stream.read(request))
    bench.settle_with_stream()

    assert recovery is not None
    assert (recovery.reason, recovery.from_, recovery.count) == ("too_old", 4, 30)
    assert seqs(socket) == list(range(11, 41))
    assert bench.hub.question(connection, view, 39, "e0", is_backfill=True) is None
    assert bench.hub.question(connection, view, None, None, is_backfill=False) is None


@pytest.mark.parametrize("since", [0, 5])
def test_who_looks_back_further_than_allowed_is_told_what_is_left_out(since: int) -> None:
    bench = Bench(max_replay=10)
    bench.publish(*(event(seq) for seq in range(1, 31)))

    connection, socket = bench.connect("custom_updates", since=since)
    bench.settle()
    added = bench.subscribe(connection, "global", since=since, epoch="before")
    bench.settle()

    gap = {"type": "gap", "from": since + 1, "to": 20, "reason": "too_many"}
    assert messages(socket)[0] == gap
    assert seqs(socket) == list(range(21, 31))
    assert added is not None
    assert (added.recovered, added.reason, added.from_, added.count) == (False, "stream_reset", 21, 0)
    assert messages(socket)[-1] == gap | {"from": 1}
    assert bench.hub.counters.recoveries == {"too_many": 1, "stream_reset": 1}
    assert bench.hub.counters.gaps == {"too_many": 2}


def test_who_waits_for_room_holds_nothing_of_the_past() -> None:
    """However many are slow: what was read for them is on no connection."""
    bench = _bench()
    sockets = [bench.connect("global", client_id=f"c{number}", since=3)[1] for number in range(20)]
    bench.settle()
    for socket in sockets:
        socket.is_stuck = True
        socket.backlog = LIMIT - 1
    bench.settle_with_stream()
    gc.collect()

    assert all(socket.backlog > LIMIT for socket in sockets)
    assert not [thing for thing in gc.get_objects() if isinstance(thing, Chunk)]


def _passing(count: int) -> Bench:
    """Ten events to keep, and many that were to be kept for minutes only, which the stream has let go."""
    bench = Bench(max_bytes=5_000)
    bench.publish(*(event(seq, size=400) for seq in range(1, 11)))
    bench.publish(*(event(seq, "task.progress", size=400) for seq in range(11, count + 1)))
    bench.stream.forget(count - 15)
    return bench


def test_what_was_to_be_kept_for_minutes_only_leaves_no_gap() -> None:
    bench = _passing(60)
    floor = bench.hub.log.floor
    assert floor > 45

    connection, socket = bench.connect()
    bench.subscribe(connection, "global", since=10)
    bench.settle_with_stream()
    connection, late = bench.connect(client_id="late")
    kept = bench.subscribe(connection, "global", since=12, epoch="e0")
    bench.settle_with_stream()

    assert seqs(socket) == seqs(late) == list(range(45, 61))
    assert len(messages(socket)) == 16
    assert kept is not None
    assert (kept.recovered, kept.reason) == (True, "replayed")
    assert not bench.hub.counters.gaps


def test_a_single_event_to_keep_among_them_makes_it_a_gap() -> None:
    bench = _passing(60)

    _, socket = bench.connect("global", since=9)
    bench.settle_with_stream()

    assert messages(socket)[0] == {"type": "gap", "from": 10, "to": 44, "reason": "too_old"}


def test_only_so_many_lasting_events_are_remembered_and_the_rest_is_taken_for_such() -> None:
    lasting = Lasting(0, most=4)
    for seq in (2, 4, 6, 8, 10):
        lasting.add(event(seq))
        lasting.add(event(seq + 1, "task.progress"))

    assert lasting.known_from == 4
    assert lasting.any_in(3, 3)
    assert lasting.any_in(5, 6)
    assert not lasting.any_in(6, 7)
    assert not lasting.any_in(10, 99)


def test_a_new_client_is_asked_about_as_its_own_cursor_would_ask() -> None:
    bench = Bench(floor=50)
    connection, _ = bench.connect("crew_c1")
    view = connection.view

    known = bench.hub.question(connection, view, 10, "e0", is_backfill=False)
    connection.is_known = False
    fresh = bench.hub.question(connection, view, 10, "e0", is_backfill=False)

    assert known == Request("e0", ALL, 10, 0)
    assert fresh == Request("e0", view.patterns, 10, 0)


def test_what_was_taken_from_between_is_a_gap_at_its_place_for_who_was_there() -> None:
    bench = _bench()
    bench.stream.remove(6, 7, 8, 20)
    connection, there = bench.connect(client_id="there")
    told = bench.subscribe(connection, "global", since=3, epoch="e0")
    connection, new = bench.connect(client_id="new")
    kept = bench.subscribe(connection, "global", since=0)
    bench.settle_with_stream()

    assert told is not None
    assert kept is not None
    assert (told.recovered, kept.recovered) == (True, True), "nothing of the stream was read before"
    gaps = [message for message in messages(there) if "event_type" not in message]
    assert [(m["from"], m["to"], m["reason"]) for m in gaps] == [(6, 8, "too_old"), (20, 20, "too_old")]
    assert seqs(new) == [seq for seq in range(1, 41) if seq not in (6, 7, 8, 20)]
    assert len(messages(new)) == 36
    assert bench.hub.counters.gaps == {"too_old": 2}


def test_a_cursor_is_not_recovered_where_the_stream_was_seen_to_lack_something_after_it() -> None:
    bench = _bench()
    bench.stream.remove(6, 7)
    answers = []
    for client_id, since, is_owed in (("there", 3, True), ("later", 7, True), ("new", 3, False)):
        connection, _ = bench.connect(client_id=client_id)
        request = bench.hub.question(connection, _GLOBAL, since, "e0", is_backfill=True)
        assert request is not None
        connection.subscriptions["global"] = parse_subscription("global")
        chunk = bench.stream.read(request)
        recovery = bench.hub.change_view(connection, since=since, epoch="e0", chunk=chunk, is_owed=is_owed)
        assert recovery is not None
        answers.append((recovery.recovered, recovery.reason, recovery.count))

    assert answers == [(False, "too_old", 35), (True, "replayed", 33), (True, "replayed", 35)]


def test_the_answer_to_a_cursor_that_cannot_be_verified_says_that() -> None:
    bench = _bench()
    bench.stream.remove(6, 7)
    connection, _ = bench.connect(client_id="there")
    request = bench.hub.question(connection, _GLOBAL, 3, None, is_backfill=True)
    assert request is not None
    chunk = bench.stream.read(request)

    recovery = bench.hub.change_view(connection, added=_GLOBAL, since=3, chunk=chunk, is_verified=False)

    assert recovery is not None
    assert recovery.reason == "unverified"
