"""What a client may put on its connection's URL."""

import pytest
from multidict import MultiDict

from bridge.core.start import Start
from bridge.web.query import parse_query
from contracts.errors import ContractError
from contracts.filters import EventFilter
from contracts.types import EventPriority
from tests.client import PREFIX
from tests.conftest import Client


def test_without_parameters_a_connection_is_live_and_unfiltered() -> None:
    query = parse_query(MultiDict())
    assert (query.since, query.epoch, query.batch, query.client_id) == (None, None, False, None)
    assert query.filter == EventFilter()


def test_every_parameter_is_read() -> None:
    query = parse_query(
        MultiDict(
            since="812",
            epoch="e1",
            types="task.completed,llm.*",
            min_priority="high",
            batch="1",
            client_id="c-1",
        )
    )
    assert (query.since, query.epoch, query.batch, query.client_id) == (812, "e1", True, "c-1")
    types = frozenset({"task.completed", "llm.*"})
    assert query.filter == EventFilter(types=types, min_priority=EventPriority.HIGH)


@pytest.mark.parametrize(
    "text", ["2026-11-24T12:00:00Z", "2026-11-24T17:30:00+05:30", "2026-11-24T17:30:00 05:30"]
)
def test_a_moment_to_begin_with_needs_a_time_zone_and_forgives_its_plus(text: str) -> None:
    assert parse_query(MultiDict(since_time=text)).start == Start(time_ns=1_795_521_600_000_000_000)


def test_where_to_begin_is_said_in_one_way() -> None:
    assert parse_query(MultiDict(last="50")).start == Start(last=50)
    assert parse_query(MultiDict(since="8", epoch="e1")).start == Start(since=8, epoch="e1")
    assert not parse_query(MultiDict()).start.is_place
    with pytest.raises(ContractError, match="last: cannot be given together with since"):
        parse_query(MultiDict(since="8", last="50"))


@pytest.mark.parametrize(("text", "value"), [("1", True), ("true", True), ("0", False), ("false", False)])
def test_batch_is_a_yes_or_no(text: str, value: bool) -> None:
    assert parse_query(MultiDict(batch=text)).batch is value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("since", ""),
        ("since", "x"),
        ("since", "-1"),
        ("since", "1.5"),
        ("since_time", "yesterday"),
        ("since_time", "2026-11-24T12:00:00"),
        ("last", "0"),
        ("last", "10001"),
        ("epoch", ""),
        ("epoch", "e" * 65),
        ("types", ""),
        ("types", "task.completed,"),
        ("types", "no.such"),
        ("min_priority", "HIGH"),
        ("batch", ""),
        ("batch", "2"),
        ("client_id", ""),
        ("client_id", "_"),
        ("client_id", "a b"),
        ("client_id", "x" * 129),
        ("colour", "red"),
    ],
)
def test_a_bad_parameter_is_named_and_its_value_is_not_repeated(name: str, value: str) -> None:
    with pytest.raises(ContractError) as caught:
        parse_query(MultiDict({name: value}))
    assert caught.value.field == name
    assert len(value) < 3 or value not in caught.value.reason


def test_a_repeated_parameter_is_refused() -> None:
    with pytest.raises(ContractError, match="since: is given more than once"):
        parse_query(MultiDict([("since", "1"), ("since", "1")]))


def test_of_an_unknown_parameter_those_that_there_are_are_said() -> None:
    with pytest.raises(ContractError, match=r"^sinc: is not known; there is since, epoch, .*, client_id$"):
        parse_query(MultiDict(sinc="1"))


async def test_an_operator_too_is_told_which_parameters_there_are(bridge: Client) -> None:
    status, answer = await bridge.get(f"{PREFIX}/connections?limits=1")
    assert (status, answer["field"]) == (422, "limits")
    assert answer["message"].startswith("is not known; there is limit, ")
    status, answer = await bridge.send("DELETE", f"{PREFIX}/connections", {"x": 1})
    assert (status, answer["field"], answer["message"]) == (
        422,
        "x",
        "is not known; there is nothing to be given",
    )
    status, answer = await bridge.get(f"{PREFIX}/ws/global?sinc=1")
    assert (status, answer["field"]) == (400, "sinc")
