"""The pattern index and the views against the slow, obvious way."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bridge.core import index
from bridge.core.entry import NO_SUBJECT
from bridge.core.index import PatternIndex
from bridge.core.view import View
from contracts.filters import EventFilter
from contracts.subjects import ANY, Pattern, Subject
from contracts.types import EventPriority
from tests.core.parts import event

patterns = st.builds(Pattern, *[st.sampled_from(f"ab{ANY}")] * 4)
subjects = st.builds(Subject, *[st.sampled_from("abc")] * 4)
SUBJECTS = [
    Subject(*tokens) for tokens in (*zip("abca", "bcab", "caaa", "abab", strict=True), "aaaa", "abba")
]


class IndexMachine(RuleBasedStateMachine):
    """An index beside a list of what is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.index: PatternIndex[int] = PatternIndex()
        self.pairs: set[tuple[Pattern, int]] = set()

    @rule(pattern=patterns, value=st.integers(0, 3))
    def add(self, pattern: Pattern, value: int) -> None:
        self.index.add(pattern, value)
        self.pairs.add((pattern, value))

    @rule(pattern=patterns, value=st.integers(0, 3))
    def discard(self, pattern: Pattern, value: int) -> None:
        self.index.discard(pattern, value)
        self.pairs.discard((pattern, value))

    @rule()
    def discard_everything(self) -> None:
        for pattern, value in self.pairs:
            self.index.discard(pattern, value)
        self.pairs.clear()

    @invariant()
    def it_finds_what_a_look_at_every_pattern_finds(self) -> None:
        for subject in SUBJECTS:
            found = self.index.match(subject)
            assert len(found) == len(set(found))
            assert set(found) == {value for pattern, value in self.pairs if pattern.matches(subject)}


TestIndex = IndexMachine.TestCase


def test_what_is_remembered_of_subjects_is_bounded_and_stays_right() -> None:
    crowd: PatternIndex[str] = PatternIndex()
    crowd.add(Pattern("task", ANY, ANY, ANY), "v")

    for number in range(index._CACHE_LIMIT + 10):
        assert crowd.match(Subject("task", "completed", "_", str(number))) == ("v",)

    assert len(crowd._cache) <= index._CACHE_LIMIT


@given(st.frozensets(patterns, max_size=6), st.frozensets(patterns, max_size=6))
def test_views_are_equal_exactly_when_neither_has_a_pattern_the_other_lacks(
    mine: frozenset[Pattern], others: frozenset[Pattern]
) -> None:
    def within(some: frozenset[Pattern], all_: frozenset[Pattern]) -> bool:
        return all(any(wide.covers(narrow) for wide in all_) for narrow in some)

    means_the_same = within(mine, others) and within(others, mine)

    assert (View(mine) == View(others)) is means_the_same
    assert not means_the_same or hash(View(mine)) == hash(View(others))


@given(st.frozensets(patterns, max_size=6), subjects)
def test_a_view_selects_what_its_patterns_match(some: frozenset[Pattern], subject: Subject) -> None:
    entry = event(1)._replace(audience=subject)

    assert View(some).wants(entry) is any(pattern.matches(subject) for pattern in some)


@given(st.frozensets(patterns, max_size=6))
def test_a_view_of_one_pattern_less_is_another_or_the_pattern_was_covered(some: frozenset[Pattern]) -> None:
    kept = View(some).patterns

    assert kept <= some
    assert all(any(wide.covers(narrow) for wide in kept) for narrow in some)
    assert not any(one != other and one.covers(other) for one in kept for other in kept)


def test_views_differ_by_filter_and_by_delivery() -> None:
    everything = frozenset({Pattern(ANY, ANY, ANY, ANY)})
    high = EventFilter(min_priority=EventPriority.HIGH)

    assert len({View(everything), View(everything, high), View(everything, batch=True)}) == 3
    assert View(everything, EventFilter(min_priority=EventPriority.LOW)) == View(everything)


def test_a_view_wants_only_what_its_filter_passes() -> None:
    view = View(frozenset({Pattern("custom", ANY, ANY, ANY)}), EventFilter(agents=frozenset({"a1"})))

    assert view.wants(event(1, agent_id="a1"))
    assert not view.wants(event(1, agent_id="a2"))
    assert not view.wants(event(1)._replace(subject=NO_SUBJECT))


def test_a_view_names_the_executions_and_crews_that_it_is_limited_to() -> None:
    one = Pattern(ANY, ANY, "c1", "e1")
    two = Pattern("task", ANY, ANY, "e2")

    assert View(frozenset({one, two})).executions == frozenset({"e1", "e2"})
    assert View(frozenset({one, two})).crews is None
    assert View(frozenset()).executions == frozenset()
