"""What was to last, and whom it was for: a read that does not bring it is told from one that need not."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.entry import Entry
from bridge.core.history import with_gaps
from bridge.core.lasting import Lasting, stretches
from contracts.codec import StoredMessage, decode
from contracts.subjects import ANY, Pattern
from tests.core.parts import event

ALL = {Pattern(ANY, ANY, ANY, ANY)}
tokens = st.sampled_from(["c1", "c2"])
patterns = st.sets(
    st.builds(
        Pattern,
        st.sampled_from([ANY, "custom", "task"]),
        st.sampled_from([ANY, "note", "completed"]),
        st.sampled_from([ANY, "c1", "c2"]),
        st.sampled_from([ANY, "c1", "c2"]),
    ),
    max_size=3,
)
entries = st.lists(
    st.builds(
        lambda event_type, crew, execution, audience: (event_type, crew, execution, audience),
        st.sampled_from(["custom.note", "task.completed", "task.progress"]),
        st.none() | tokens,
        st.none() | tokens,
        st.sampled_from([None, None, None, "everyone", "execution_c1", "task.*.c1.*"]),
    ),
    max_size=30,
)


def _entries(drawn: list[tuple[str, str | None, str | None, str | None]]) -> list[Entry]:
    return [
        event(seq, event_type, audience=audience)
        if audience
        else event(seq, event_type, crew=crew, execution=execution)
        for seq, (event_type, crew, execution, audience) in enumerate(drawn, 1)
    ]


@given(
    entries, patterns, st.integers(0, 20), st.integers(0, 35), st.sets(st.integers(1, 30)), st.integers(1, 9)
)
def test_what_is_missing_is_what_was_to_last_is_selected_and_was_not_found(
    drawn: list[tuple[str, str | None, str | None, str | None]],
    wanted: set[Pattern],
    after: int,
    upto: int,
    found: set[int],
    step: int,
) -> None:
    lasting, told = Lasting(0, step=step), _entries(drawn)
    for entry in told:
        lasting.add(entry)

    missing: list[int] = []
    place = after
    while place < upto:
        more, place = lasting.missing(wanted, place, upto, found)
        missing += more

    assert missing == [
        entry.seq
        for entry in told
        if after < entry.seq <= upto
        and entry.seq not in found
        and entry.event_type != "task.progress"
        and wanted
        and (entry.is_for_all or any(pattern.matches(entry.audience) for pattern in wanted))
    ]


def test_what_its_publisher_gave_a_time_to_live_was_not_to_last() -> None:
    lasting = Lasting(0)
    for seq, has_ttl in enumerate((False, True, False), 1):
        message = StoredMessage("custom.note.c1.e1", b"{}", seq, 0, has_ttl)
        lasting.add(Entry.of_event(decode(message, "e0"), seq))

    assert lasting.missing(ALL, 0, 9, set()) == ([1, 3], 9)
    assert not lasting.any_in(1, 2)


def test_what_was_forgotten_or_before_the_log_is_not_called_missing() -> None:
    lasting = Lasting(0, most=4)
    for seq in (2, 4, 6, 8, 10):
        lasting.add(event(seq))

    assert lasting.known_from == 4
    assert lasting.missing(ALL, 0, 99, {8}) == ([6, 10], 99)


def test_what_is_missing_between_two_that_were_found_is_one_stretch() -> None:
    assert stretches([2, 3, 6, 7, 9, 20], [4, 5, 8, 15]) == [(2, 3), (6, 7), (9, 9), (20, 20)]
    assert stretches([2, 3, 20], []) == [(2, 20)]
    assert stretches([], [1]) == []


def test_a_gap_stands_where_what_is_missing_ends() -> None:
    told = with_gaps([event(1), event(5), event(9)], [(2, 4), (6, 6)])

    assert [(entry.seq, entry.is_gap, entry.is_for_all) for entry in told] == [
        (1, False, False),
        (4, True, False),
        (5, False, False),
        (6, True, False),
        (9, False, False),
    ]
