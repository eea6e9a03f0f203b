"""Subscriptions: what a name stands for."""

import pytest
from hypothesis import given

from contracts.catalog import open_family
from contracts.errors import ContractError
from contracts.subjects import Pattern
from contracts.subscriptions import crew, execution, parse_subscription
from contracts.types import FAMILIES
from tests.contracts.strategies import ids, law


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("global", "*.*.*.*"),
        ("metrics", "system.health_check.*.*"),
        ("task_updates", "task.*.*.*"),
        ("execution_updates", "execution.*.*.*"),
        ("crew_updates", "crew.*.*.*"),
        ("custom_updates", "custom.*.*.*"),
        ("execution_e1", "*.*.*.e1"),
        ("crew_c1", "*.*.c1.*"),
        ("execution_mine_updates", "*.*.*.mine_updates"),
        (">", "*.*.*.*"),
        ("*.*", "*.*.*.*"),
        ("task.>", "task.*.*.*"),
        ("task.completed", "task.completed.*.*"),
        ("task.*.crew_9.*", "task.*.crew_9.*"),
        ("*.*.*.updates", "*.*.*.updates"),
    ],
)
def test_a_name_stands_for_a_pattern(name: str, pattern: str) -> None:
    subscription = parse_subscription(name)

    assert subscription.name == name
    assert str(subscription.pattern) == pattern


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_an_alias(family: str) -> None:
    assert parse_subscription(f"{family}_updates").pattern == Pattern(family, "*", "*", "*")


def test_a_family_that_an_application_opened_has_an_alias_and_patterns() -> None:
    open_family("harvest")

    assert parse_subscription("harvest_updates").pattern == parse_subscription("harvest.>").pattern


@law
@given(ids)
def test_an_id_is_reached_by_its_alias(text: str) -> None:
    assert execution(text).pattern == Pattern("*", "*", "*", text)
    assert crew(text).pattern == Pattern("*", "*", text, "*")


@law
@given(ids.filter(lambda text: f"execution_{text}" != "execution_updates"))
def test_the_name_of_an_execution_reads_as_its_subscription(text: str) -> None:
    assert parse_subscription(execution(text).name) == execution(text)


@pytest.mark.parametrize("bad", ["", "_", "a b", "*", ">", "a.b", "x" * 129])
def test_a_malformed_id_has_no_subscription(bad: str) -> None:
    with pytest.raises(ContractError) as of_execution:
        execution(bad)
    with pytest.raises(ContractError) as of_crew:
        crew(bad)

    assert of_execution.value.field == "execution_id"
    assert of_crew.value.field == "crew_id"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "everything",
        "*",
        "nobody_updates",
        "_updates",
        "nobody.>",
        "nobody.knows",
        "execution_",
        "crew_*",
        "a..b",
    ],
)
def test_what_is_neither_an_alias_nor_a_pattern_is_refused(name: str) -> None:
    with pytest.raises(ContractError):
        parse_subscription(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "job-7",
            "'job-7' is neither an alias nor a pattern: use global, metrics, <family>_updates, execution_",
        ),
        ("tasks_updates", "did you mean 'task_updates'?"),
        ("globall", "did you mean 'global'?"),
        ("taks.completed", "'taks' is no known family: did you mean 'task'?"),
        ("zzzzzz.>", "'zzzzzz' is no known family: there are a2a, "),
        ("x" * 65, "what was given is neither"),
        ("a\nb", "what was given is neither"),
    ],
)
def test_who_is_refused_is_told_what_was_given_and_what_would_do(name: str, words: str) -> None:
    with pytest.raises(ContractError) as refused:
        parse_subscription(name)

    assert words in refused.value.reason
