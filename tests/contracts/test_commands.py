"""Commands: what a client may say, and how a mistake is named."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.commands import (
    ACTIONS,
    MAX_NAMES,
    Command,
    Filter,
    List,
    Ping,
    Subscribe,
    Unsubscribe,
    parse_command,
)
from contracts.errors import ContractError
from contracts.filters import EventFilter
from contracts.types import EventPriority
from tests.contracts.strategies import json_values, law, text

names = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=512), min_size=1, max_size=5
)
marks = st.none() | st.integers() | text
commands = st.one_of(
    st.builds(
        Subscribe,
        action=st.just("subscribe"),
        subscriptions=names,
        since=st.none() | st.integers(0),
        epoch=st.none() | text,
        id=marks,
    ),
    st.builds(Unsubscribe, action=st.just("unsubscribe"), subscriptions=names, id=marks),
    st.builds(Filter, action=st.just("filter"), id=marks),
    st.builds(Ping, action=st.just("ping"), id=marks),
    st.builds(List, action=st.just("list"), id=marks),
)


def fault(text: str | bytes) -> ContractError:
    with pytest.raises(ContractError) as refused:
        parse_command(text)
    return refused.value


@law
@given(commands)
def test_a_command_reads_as_what_was_said(command: Command) -> None:
    assert parse_command(command.model_dump_json()) == command
    assert parse_command(command.model_dump_json().encode()) == command


def test_every_command_has_its_action() -> None:
    spoken = [get_args(command.model_fields["action"].annotation)[0] for command in get_args(Command)]

    assert set(spoken) == ACTIONS
    assert len(spoken) == len(ACTIONS)


def test_a_late_joiner_may_ask_for_everything_since_the_beginning() -> None:
    command = parse_command('{"action": "subscribe", "subscriptions": ["global"], "since": 0}')

    assert command == Subscribe(action="subscribe", subscriptions=["global"], since=0)


def test_a_filter_is_replaced_as_a_whole_and_an_empty_one_lets_everything_pass() -> None:
    command = parse_command('{"action": "filter", "filter": {"types": ["task.*"], "min_priority": "high"}}')

    assert command == Filter(
        action="filter",
        filter=EventFilter(types=frozenset({"task.*"}), min_priority=EventPriority.HIGH),
    )
    assert parse_command('{"action": "filter"}') == Filter(action="filter", filter=EventFilter())


@pytest.mark.parametrize("text", ["", "{", b"\xff", "[1", '{"action": "ping"} x', "[" * 100_000])
def test_bad_json_is_no_field_s_fault(text: str | bytes) -> None:
    error = fault(text)

    assert (error.field, error.reason) == ("", "not valid JSON")


@pytest.mark.parametrize("text", ["[]", "5", "null", '"ping"'])
def test_json_that_is_not_an_object_is_refused_as_a_whole(text: str) -> None:
    assert fault(text).field == ""


@pytest.mark.parametrize("action", [None, "", "sesame", "PING", ["ping"]])
def test_an_unknown_action_is_answered_with_those_that_exist(action: object) -> None:
    for sent in (json.dumps({"action": action}), "{}"):
        error = fault(sent)

        assert error.field == "action"
        assert error.reason == "must be one of filter, list, ping, subscribe, unsubscribe"


@pytest.mark.parametrize(
    ("command", "field"),
    [
        ({"action": "subscribe"}, "subscriptions"),
        ({"action": "subscribe", "subscriptions": []}, "subscriptions"),
        ({"action": "subscribe", "subscriptions": "global"}, "subscriptions"),
        ({"action": "subscribe", "subscriptions": ["global", ""]}, "subscriptions.1"),
        ({"action": "subscribe", "subscriptions": [5]}, "subscriptions.0"),
        ({"action": "subscribe", "subscriptions": ["x" * 513]}, "subscriptions.0"),
        ({"action": "subscribe", "subscriptions": ["global"] * (MAX_NAMES + 1)}, "subscriptions"),
        ({"action": "subscribe", "subscriptions": ["global"], "since": -1}, "since"),
        ({"action": "subscribe", "subscriptions": ["global"], "since": "5"}, "since"),
        ({"action": "subscribe", "subscriptions": ["global"], "since": True}, "since"),
        ({"action": "subscribe", "subscriptions": ["global"], "epoch": "x" * 65}, "epoch"),
        ({"action": "unsubscribe"}, "subscriptions"),
        ({"action": "unsubscribe", "subscriptions": ["global"], "since": 5}, "since"),
        ({"action": "filter", "filter": {"types": ["nobody.knows"]}}, "filter.types"),
        ({"action": "filter", "filter": {"agents": ["a b"]}}, "filter.agents.0"),
        ({"action": "filter", "filter": {"min_priority": "vital"}}, "filter.min_priority"),
        ({"action": "filter", "filter": {"colour": "red"}}, "filter.colour"),
        ({"action": "filter", "filter": None}, "filter"),
        ({"action": "ping", "ping": 1}, "ping"),
        ({"action": "ping", "id": []}, "id"),
        ({"action": "ping", "id": True}, "id"),
        ({"action": "ping", "id": 1.5}, "id"),
        ({"action": "list", "id": "x" * 129}, "id"),
    ],
)
def test_a_mistake_is_named_as_the_client_wrote_it(command: dict[str, object], field: str) -> None:
    assert fault(json.dumps(command)).field == field


@law
@given(
    st.binary(max_size=50)
    | st.dictionaries(
        st.sampled_from(["action", "id", "since", "epoch", "subscriptions", "filter"]),
        json_values
        | st.sampled_from([*sorted(ACTIONS), "open sesame"])
        | st.just({"types": ["open sesame"]}),
    ).map(lambda command: json.dumps(command).encode())
)
def test_nothing_that_a_client_sends_raises_anything_else_or_is_quoted(sent: bytes) -> None:
    assert "sesame" not in complaint_about(sent)


def complaint_about(sent: bytes) -> str:
    try:
        parse_command(sent)
    except ContractError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("text", "field", "names"),
    [
        ('{"action":"ping","ide":1}', "ide", "id, action"),
        (
            '{"action":"subscribe","subscriptions":["global"],"sinze":1}',
            "sinze",
            "id, action, subscriptions, since",
        ),
        ('{"action":"filter","filter":{"colour":1}}', "filter.colour", "types, min_priority"),
    ],
)
def test_of_an_unknown_key_those_that_the_command_has_are_said(text: str, field: str, names: str) -> None:
    with pytest.raises(ContractError) as refused:
        parse_command(text)

    assert refused.value.field == field
    assert refused.value.reason.startswith(f"is not known; there is {names}")
