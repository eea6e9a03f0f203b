"""Subjects and patterns: what is refused, and what a pattern selects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.errors import ContractError
from contracts.subjects import ABSENT, Id, Pattern, Subject, parse_subject
from tests.contracts.strategies import ids, law, nats_patterns, patterns, subjects

BAD_IDS = ["", "_", "a b", "a\tb", "a\n", "a\x00", "a\x85", "a.b", "*", "a*", ">", "a" * 129]
BAD_TYPES = [
    "",
    "task",
    "task.",
    ".completed",
    "task.a.b",
    "task.*",
    "9task.x",
    "task.x y",
    "task.x\n",
    "t" * 65,
]


def nats_selects(pattern: list[str], subject: list[str]) -> bool:
    """What NATS does, slowly: ``*`` is one token, ``>`` is one or more at the end."""
    if not pattern or not subject:
        return pattern == subject
    if pattern == [">"]:
        return True
    return pattern[0] in ("*", subject[0]) and nats_selects(pattern[1:], subject[1:])


def test_a_subject_is_the_type_and_the_two_ids() -> None:
    subject = Subject.build("task.completed", "crew_9", "exec_123")

    assert str(subject) == "task.completed.crew_9.exec_123"
    assert subject.event_type == "task.completed"


def test_an_absent_id_is_an_underscore() -> None:
    assert str(Subject.build("task.completed")) == "task.completed._._"
    assert str(Subject.build("task.completed", execution_id="e1")) == "task.completed._.e1"


@pytest.mark.parametrize("bad", BAD_IDS)
@pytest.mark.parametrize("field", ["crew_id", "execution_id"])
def test_an_id_that_would_break_a_subject_is_refused_and_not_quoted(field: str, bad: str) -> None:
    with pytest.raises(ContractError) as refused:
        Subject.build("task.completed", **{field: bad})

    assert refused.value.field == field


@pytest.mark.parametrize("bad", BAD_TYPES)
def test_a_subject_cannot_be_built_of_a_malformed_type(bad: str) -> None:
    with pytest.raises(ContractError) as refused:
        Subject.build(bad)

    assert refused.value.field == "event_type"


@law
@given(ids | st.sampled_from(BAD_IDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3))
def test_subjects_and_models_agree_on_what_an_id_is(text: str) -> None:
    assert _builds(text) == _validates(text)


def _builds(text: str) -> bool:
    try:
        Subject.build("task.completed", text)
    except ContractError:
        return False
    return True


def _validates(text: str) -> bool:
    try:
        TypeAdapter[str](Id).validate_python(text)
    except ValidationError:
        return False
    return True


@law
@given(ids | st.none(), ids | st.none())
def test_a_published_subject_reads_as_what_it_was_built_from(
    crew_id: str | None, execution_id: str | None
) -> None:
    subject = Subject.build("task.completed", crew_id, execution_id)

    assert parse_subject(str(subject)) == ("task.completed", subject)
    assert subject.crew_id == (crew_id or ABSENT)


def test_a_bare_subject_has_a_type_and_no_scope() -> None:
    assert parse_subject("task.completed") == ("task.completed", None)


@pytest.mark.parametrize(
    "text",
    [
        *BAD_TYPES,
        "task.completed.c",
        "task.completed.c.e.x",
        "task.completed..e",
        "task.completed.c.*",
        "task.completed.c.>",
        "task.completed.c d.e",
        "*.completed.c.e",
        ">",
    ],
)
def test_what_is_not_a_subject_is_refused(text: str) -> None:
    with pytest.raises(ContractError) as refused:
        parse_subject(text)

    assert refused.value.field == "subject"


@law
@given(nats_patterns(), subjects)
def test_a_pattern_selects_what_nats_would_deliver(pattern: str, subject: Subject) -> None:
    assert Pattern.parse(pattern).matches(subject) == nats_selects(pattern.split("."), list(subject))


@law
@given(st.sampled_from("ab*"), st.sampled_from("ab*"), subjects)
def test_two_tokens_stand_for_every_id(family: str, action: str, subject: Subject) -> None:
    short = Pattern.parse(f"{family}.{action}")

    assert short.matches(subject) == nats_selects([family, action, ">"], list(subject))


@law
@given(patterns, patterns, st.sets(subjects))
def test_a_pattern_covers_another_only_if_it_selects_everything_that_the_other_does(
    one: Pattern, other: Pattern, seen: set[Subject]
) -> None:
    # Given a subject that the other selects and of which only its own exact tokens are known,
    widest = Subject(*(token.replace("*", "c") for token in other))

    selected = [subject for subject in {widest, *seen} if other.matches(subject)]

    assert one.covers(other) == all(one.matches(subject) for subject in selected)


@law
@given(patterns)
def test_the_text_of_a_pattern_reads_as_the_same_pattern(pattern: Pattern) -> None:
    assert Pattern.parse(str(pattern)) == pattern


@pytest.mark.parametrize("text", ["task.>", "task.*", "task.*.>", "task.*.*.*", "task.*.*.>"])
def test_patterns_that_mean_the_same_are_equal(text: str) -> None:
    assert Pattern.parse(text) == Pattern("task", "*", "*", "*")


def test_an_underscore_selects_events_without_the_id() -> None:
    pattern = Pattern.parse("*.*._.*")

    assert pattern.matches(Subject.build("system.startup"))
    assert not pattern.matches(Subject.build("system.startup", "crew_9"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "task",
        "*",
        "task.a.b",
        "a.b.c.d.e",
        "a.b.c.d.>",
        ">.task",
        "task.>.x",
        "task.a*",
        "task..",
        "a b.c",
    ],
)
def test_what_is_not_a_pattern_is_refused(text: str) -> None:
    with pytest.raises(ContractError) as refused:
        Pattern.parse(text)

    assert refused.value.field == "subscription"
