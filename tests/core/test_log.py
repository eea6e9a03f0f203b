"""The ring: bounded in bytes, readable from any place."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.entry import Entry
from bridge.core.log import Log, is_special
from bridge.core.view import View
from contracts.messages import Gap
from contracts.subjects import ANY, Pattern
from tests.core.parts import event

ids = st.sampled_from([None, "x", "y", "z"])
places = st.tuples(
    st.integers(1, 3), ids, ids, st.sampled_from([None, None, "me"]), st.sampled_from([0, 0, 900])
)
tokens = st.sampled_from(["x", "y", "z", ANY])
views = st.builds(
    View, st.frozensets(st.builds(Pattern, st.just(ANY), st.just(ANY), tokens, tokens), max_size=4)
)

Place = tuple[int, str | None, str | None, str | None, int]


def written(log: Log, some: list[Place]) -> list[Entry]:
    """What was put into the log: a place of nobody's execution and crew is a gap now and then."""
    entries = []
    for step, crew, execution, client_id, size in some:
        seq = log.head + step
        addressed = {} if client_id is None else {"client_id": client_id}
        entry = event(seq, crew=crew, execution=execution, size=size, **addressed)
        if step == 3 and crew is None:
            entry = Entry.of_gap(Gap(from_=log.head + 1, to=seq, reason="retention"))
        log.append(entry)
        entries.append(entry)
    return entries


def ring(max_bytes: int = 1 << 20, floor: int = 0) -> Log:
    log = Log(max_bytes)
    log.reset("e", floor)
    return log


@given(st.integers(1, 8_000), st.lists(places, min_size=4, max_size=40))
def test_the_ring_never_holds_more_than_its_bytes_unless_one_entry_is_larger(
    max_bytes: int, some: list[Place]
) -> None:
    log = ring(max_bytes, floor=4)
    entries: list[Entry] = []

    for place in some:
        entries += written(log, [place])
        assert log.bytes <= max_bytes or len(log) == 1
        held = list(log.after(0, View(frozenset({Pattern(ANY, ANY, ANY, ANY)}))))
        assert held == entries[len(entries) - len(log) :]
        assert log.bytes == sum(entry.size for entry in held)
        assert log.head == entries[-1].seq
        assert log.floor == (entries[-len(log) - 1].seq if len(log) < len(entries) else 4)


@given(st.integers(1, 8_000), st.lists(places, min_size=4, max_size=40), views, st.integers(0, 90))
def test_reading_finds_all_that_the_view_can_want_in_order_and_once(
    max_bytes: int, some: list[Place], view: View, since: int
) -> None:
    log = ring(max_bytes)
    entries = written(log, some)

    found = list(log.after(since, view))

    assert [entry.seq for entry in found] == sorted({entry.seq for entry in found})
    assert all(entry.seq > max(since, log.floor) for entry in found)
    assert set(found) >= {
        entry
        for entry in entries
        if entry.seq > max(since, log.floor) and (is_special(entry) or view.wants(entry))
    }


def test_a_view_of_executions_or_crews_does_not_read_what_others_do() -> None:
    log = ring()
    for seq in range(1, 100):
        log.append(event(seq, crew=f"c{seq % 10}", execution=f"e{seq % 50}"))

    execution = View(frozenset({Pattern(ANY, ANY, ANY, "e7"), Pattern(ANY, ANY, ANY, "e8")}))
    crew = View(frozenset({Pattern(ANY, ANY, "c3", ANY)}))

    assert [entry.seq for entry in log.after(8, execution)] == [57, 58]
    assert [entry.seq for entry in log.after(80, crew)] == [83, 93]


def test_what_left_the_ring_is_found_by_nobody() -> None:
    log = ring(max_bytes=4_000)
    for seq in range(1, 100):
        log.append(event(seq, crew=f"c{seq}", execution=f"e{seq}", client_id="me"))

    for pattern in (Pattern(ANY, ANY, ANY, "e1"), Pattern(ANY, ANY, "c1", ANY)):
        found = [entry.seq for entry in log.after(0, View(frozenset({pattern})))]
        assert found == list(range(log.floor + 1, 100))
    assert set(log._by_execution._lists) == {f"e{seq}" for seq in range(log.floor + 1, 100)}
    assert set(log._by_crew._lists) == {f"c{seq}" for seq in range(log.floor + 1, 100)}


def test_what_holds_nothing_moves_the_head_forward_only() -> None:
    log = ring(floor=5)

    log.skip(9)
    log.skip(7)

    assert (log.floor, log.head, len(log)) == (5, 9, 0)


def test_an_event_larger_than_the_ring_is_held_until_the_next_comes() -> None:
    log = ring(max_bytes=1_000)

    log.append(event(1, size=5_000))
    assert (len(log), log.floor) == (1, 0)

    log.append(event(2))
    assert (len(log), log.floor) == (1, 1)


def test_a_ring_takes_no_more_memory_than_it_says() -> None:
    """With ten events to an execution; see ``_OVERHEAD`` for other loads."""
    log = ring(1 << 30)
    event(1, crew="c", execution="e")  # what decoding keeps for itself is not the ring's

    tracemalloc.start()
    for seq in range(1, 3_001):
        log.append(event(seq, crew="c", execution=f"execution-{seq // 10}", size=300))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert log.bytes * 0.5 < taken < log.bytes * 1.02


def test_a_reset_ring_is_empty() -> None:
    log = ring()
    written(log, [(1, "x", "y", "me", 0)])

    log.reset("another", 40)

    assert (log.epoch, log.floor, log.head, log.bytes, len(log)) == ("another", 40, 40, 0, 0)
    assert not list(log.after(0, View(frozenset({Pattern(ANY, ANY, ANY, "y")}))))


def test_the_age_of_the_ring_is_that_of_its_oldest_entry() -> None:
    log = ring(1000)
    assert log.oldest_ns == 0

    for seq in range(1, 10):
        log.append(event(seq)._replace(stored_ns=seq))

    assert log.oldest_ns == log.floor + 1 > 1
