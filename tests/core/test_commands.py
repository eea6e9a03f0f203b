"""Commands: each is answered once, and what is wrong is said without harm."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.commands import MAX_SUBSCRIPTIONS, answer, refusal
from bridge.core.connection import Connection
from bridge.core.cursor import MAX_TODO
from bridge.core.start import Found
from contracts.messages import Error, Message
from contracts.subscriptions import parse_subscription
from tests.core.parts import LIMIT, Bench, FakeSocket, event, messages, seqs

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from(["action", "id", "subscriptions", "since", "epoch", "filter", "other"])
values = (
    anything | st.sampled_from(["subscribe", "unsubscribe", "filter", "ping", "list"]) | st.just(["global"])
)


def asked(bench: Bench, connection: Connection, **command: Any) -> dict[str, Any]:
    """The answer to a command, as the client reads it."""
    place = Found(command["since"], command.get("epoch")) if "since" in command else None
    said: dict[str, Any] = json.loads(answer(bench.hub, connection, json.dumps(command), place).to_json())
    return said


def refused(said: Message) -> Error:
    assert isinstance(said, Error)
    return said


@given(st.text(max_size=30) | st.dictionaries(keys, values, max_size=5).map(json.dumps))
def test_whatever_a_client_says_it_gets_an_answer(text: str) -> None:
    bench = Bench()
    connection, socket = bench.connect()

    said = answer(bench.hub, connection, text)

    assert said.to_json()
    assert not socket.written
    assert connection.errors == isinstance(said, Error)
    counted = bench.hub.counters.errors.total() + bench.hub.counters.commands.total()
    assert counted == 1


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("", "invalid_json", None),
        ("{", "invalid_json", None),
        ("[]", "invalid_json", None),
        ('"subscribe"', "invalid_json", None),
        ("[" * 100_000, "invalid_json", None),
        ("1" * 5_000, "invalid_json", None),
        ("{}", "unknown_action", "action"),
        ('{"action":5}', "unknown_action", "action"),
        ('{"action":"shout"}', "unknown_action", "action"),
        ('{"action":"ping","id":true}', "invalid_command", "id"),
        ('{"action":"ping","x":1}', "invalid_command", "x"),
        ('{"action":"subscribe","subscriptions":[]}', "invalid_command", "subscriptions"),
        ('{"action":"subscribe","subscriptions":["global"],"since":-1}', "invalid_command", "since"),
        ('{"action":"subscribe","subscriptions":["nonsense"]}', "invalid_subscription", "subscriptions.0"),
        (
            '{"action":"subscribe","subscriptions":["global","task.a.b"]}',
            "invalid_subscription",
            "subscriptions.1",
        ),
        ('{"action":"unsubscribe","subscriptions":["global"]}', "not_subscribed", "subscriptions.0"),
        ('{"action":"filter","filter":{"types":["no.such"]}}', "invalid_command", "filter.types"),
    ],
)
def test_what_is_wrong_is_named_by_code_and_field(text: str, code: str, field: str | None) -> None:
    bench = Bench()
    connection, _ = bench.connect("task_updates")

    said = refused(answer(bench.hub, connection, text))

    assert (said.code, said.field) == (code, field)
    assert bench.hub.counters.errors == {code: 1}
    assert connection.errors == 1
    assert list(connection.subscriptions) == ["task_updates"]


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ('{"action":"ping","id":7}', 7),
        ('{"action":"ping","id":"mine"}', "mine"),
        ('{"action":"shout","id":7}', 7),
        ('{"id":"mine"}', "mine"),
        ('{"action":"subscribe","subscriptions":[],"id":7}', 7),
        ('{"action":"subscribe","subscriptions":["nonsense"],"id":7}', 7),
        ('{"action":"ping"}', None),
        ('{"action":"shout","id":[]}', None),
        ('{"action":"ping","id":true}', None),
        ("{", None),
    ],
)
def test_the_answer_carries_the_mark_of_the_command_also_when_it_is_refused(
    text: str, mark: int | str | None
) -> None:
    bench = Bench()
    connection, _ = bench.connect()

    said = answer(bench.hub, connection, text)

    assert getattr(said, "id", None) == mark


def test_a_subscription_is_answered_with_all_that_there_are() -> None:
    bench = Bench()
    connection, _ = bench.connect("task_updates")

    said = asked(bench, connection, action="subscribe", subscriptions=["global", "crew_c1", "global"])

    assert said == {"type": "subscribed", "subscriptions": ["task_updates", "global", "crew_c1"]}
    assert bench.hub.counters.commands == {"subscribe": 1}


def test_unsubscribing_is_all_or_nothing() -> None:
    bench = Bench()
    connection, _ = bench.connect("task_updates", "global")

    said = asked(bench, connection, action="unsubscribe", subscriptions=["global", "crew_c1"])
    assert said["code"] == "not_subscribed"
    assert list(connection.subscriptions) == ["task_updates", "global"]

    said = asked(bench, connection, action="unsubscribe", subscriptions=["global", "global"])
    assert said == {"type": "unsubscribed", "subscriptions": ["task_updates"]}


def test_a_connection_can_have_so_many_subscriptions_and_not_one_more() -> None:
    bench = Bench()
    connection, _ = bench.connect()
    names = [f"execution_e{number}" for number in range(MAX_SUBSCRIPTIONS)]
    asked(bench, connection, action="subscribe", subscriptions=names)

    said = asked(bench, connection, action="subscribe", subscriptions=["global"])
    assert said["code"] == "too_many_subscriptions"
    assert list(connection.subscriptions) == names

    again = asked(bench, connection, action="subscribe", subscriptions=names[:5])
    assert again["type"] == "subscribed"


def test_the_answer_to_since_says_how_much_follows() -> None:
    bench = Bench()
    connection, socket = bench.connect("task_updates")
    bench.publish(*(event(seq, "custom.note") for seq in range(1, 6)))

    said = asked(bench, connection, action="subscribe", subscriptions=["custom_updates"], since=2, epoch="e0")
    again = asked(bench, connection, action="subscribe", subscriptions=["global"], since=5)
    bench.settle()

    assert said["recovery"] == {"recovered": True, "reason": "replayed", "from": 3, "to": 5, "count": 3}
    assert again["recovery"]["reason"] == "nothing_missed"
    assert seqs(socket) == [3, 4, 5]


def test_a_later_subscription_replays_what_it_adds_and_nothing_of_those_before() -> None:
    bench = Bench()
    bench.publish(event(1, execution="a"), event(2, execution="b"), event(3, crew="c1", execution="a"))
    connection, socket = bench.connect("execution_a")
    bench.publish(event(4, crew="c1", execution="a"), event(5, execution="b"))
    bench.settle()

    said = asked(bench, connection, action="subscribe", subscriptions=["execution_b"], since=0)
    bench.settle()
    assert (said["recovery"]["count"], seqs(socket)) == (2, [4, 2, 5])

    both = asked(bench, connection, action="subscribe", subscriptions=["crew_c1"], since=0)
    bench.settle()
    assert (both["recovery"]["count"], seqs(socket)[3:]) == (1, [3]), "of both, and not given before"


def test_subscribing_again_replays_what_that_subscription_was_not_given() -> None:
    bench = Bench()
    bench.publish(event(1, execution="a"), event(2, execution="b"))
    connection, socket = bench.connect("execution_a", "execution_b")
    bench.publish(event(3, execution="a"), event(4, execution="b"))
    bench.settle()

    for count in (1, 0):
        said = asked(bench, connection, action="subscribe", subscriptions=["execution_a"], since=0)
        assert said["recovery"]["count"] == count
        bench.settle()

    assert seqs(socket) == [3, 4, 1]


def test_what_a_later_subscription_asks_of_the_stream_is_what_it_adds() -> None:
    bench = Bench(max_bytes=3_000)
    bench.publish(*(event(seq, execution=f"e{seq % 2}", size=400) for seq in range(1, 20)))
    connection, socket = bench.connect("execution_e0")

    asked(bench, connection, action="subscribe", subscriptions=["execution_e1"], since=0)
    bench.settle()

    (request,) = bench.stream.asked
    assert request.patterns == {parse_subscription("execution_e1").pattern}
    bench.settle_with_stream()
    assert seqs(socket) == list(range(1, 20, 2))


def test_what_is_counted_leaves_out_gaps_and_what_others_are_told() -> None:
    bench = Bench()
    bench.publish(event(1), event(2, client_id="other"), event(3, client_id="me"))
    bench.hub.announce_gap(4, 6, "retention")

    socket = FakeSocket()
    connection = Connection("me", "test", socket, 0.0)
    recovery = bench.hub.open(connection, since=0)
    assert recovery is not None
    assert (recovery.count, recovery.from_, recovery.to) == (1, 1, 6)

    said = asked(bench, connection, action="subscribe", subscriptions=["global"], since=0)
    assert said["recovery"]["count"] == 2
    bench.settle()
    assert sorted(seqs(socket)) == [1, 3]


def test_a_filter_replaces_the_one_before_and_an_empty_one_lets_all_pass() -> None:
    bench = Bench()
    connection, socket = bench.connect("global")

    said = asked(bench, connection, action="filter", filter={"agents": ["a1"]})
    bench.publish(event(1, agent_id="a1"), event(2, agent_id="a2"))
    bench.settle()
    empty = asked(bench, connection, action="filter")
    bench.publish(event(3, agent_id="a2"))
    bench.settle()

    assert said == {"type": "filtered", "filter": {"agents": ["a1"]}}
    assert empty == {"type": "filtered", "filter": {}}
    assert seqs(socket) == [1, 3]


def test_a_pong_tells_the_head_and_what_lies_behind_the_connection() -> None:
    bench = Bench()
    connection, _ = bench.connect("global")
    bench.publish(event(5)._replace(stored_ns=80), event(6)._replace(stored_ns=90))

    before = asked(bench, connection, action="ping")
    bench.settle()
    after = asked(bench, connection, action="ping", id="x")

    pong = {"type": "pong", "epoch": "e0-6-5a", "head": 6}
    assert before == pong | {"cursor": 4, "position": f"0-{0xE0 * 1_000:x}"}
    assert after == pong | {"id": "x", "cursor": 6, "position": "6-5a"}


def test_a_client_can_ask_what_it_is_subscribed_to() -> None:
    bench = Bench()
    connection, _ = bench.connect("global", "crew_c1")

    said = asked(bench, connection, action="list")

    assert said == {"type": "listed", "subscriptions": ["global", "crew_c1"], "filter": {}}


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe", "filter"])
def test_a_client_that_lags_cannot_change_its_view_for_ever(action: str) -> None:
    bench = Bench()
    connection, socket = bench.connect("crew_c1")
    socket.is_stuck, socket.backlog = True, LIMIT + 1
    for seq in range(1, MAX_TODO + 5):
        bench.publish(event(seq, crew="c1"))
        bench.settle()
        asked(bench, connection, action="filter", filter={"agents": [f"a{seq}"]})

    said = asked(bench, connection, action=action, **_operands(action))
    assert said["code"] == "busy"

    _drain(bench, connection, socket)
    assert asked(bench, connection, action=action, **_operands(action))["type"] != "error"


def test_a_client_that_lags_cannot_do_so_without_news_either() -> None:
    bench = Bench()
    connection, socket = bench.connect("global")
    socket.is_stuck, socket.backlog = True, LIMIT + 1
    bench.publish(event(1))
    bench.settle()
    bench.publish(event(2))

    said = [
        asked(bench, connection, action="filter", filter={"agents": [f"a{number}"]})["type"]
        for number in range(MAX_TODO + 3)
    ]
    assert said[-4:] == ["error"] * 4
    assert len(connection.cursor.todo[0].views) <= MAX_TODO

    _drain(bench, connection, socket)
    assert seqs(socket) == [1]
    assert asked(bench, connection, action="filter")["type"] == "filtered"


def test_going_back_and_forth_between_two_views_keeps_nobody_busy() -> None:
    bench = Bench()
    connection, socket = bench.connect("global")
    socket.is_stuck, socket.backlog = True, LIMIT + 1
    bench.publish(event(1))
    bench.settle()
    bench.publish(event(2))

    for _ in range(MAX_TODO):
        asked(bench, connection, action="filter", filter={"min_priority": "high"})
        assert asked(bench, connection, action="filter")["type"] == "filtered"


def test_a_closed_connection_stays_out_whatever_it_still_says() -> None:
    bench = Bench()
    connection, socket = bench.connect("global")
    bench.hub.close(connection, 4003, "bye")

    asked(bench, connection, action="subscribe", subscriptions=["crew_c1"], since=0)
    bench.publish(event(1))
    bench.settle()

    assert connection.group is None
    assert len(bench.hub.router) == 0
    assert not socket.written


def test_a_refusal_of_the_shore_is_counted_like_any_other() -> None:
    bench = Bench()
    connection, _ = bench.connect()

    said = refusal(bench.hub, connection, "too_large", "a message is 64 KiB at most", field="")

    assert json.loads(said.to_json()) == {
        "type": "error",
        "code": "too_large",
        "message": "a message is 64 KiB at most",
    }
    assert (connection.errors, bench.hub.counters.errors["too_large"]) == (1, 1)


def test_an_answer_precedes_the_events_that_the_command_causes() -> None:
    bench = Bench()
    bench.publish(event(1), event(2))
    connection, socket = bench.connect()

    command = {"action": "subscribe", "subscriptions": ["global"], "since": 0}
    connection.say(answer(bench.hub, connection, json.dumps(command), Found(0)))
    bench.settle()

    assert [message.get("type", message.get("seq")) for message in messages(socket)] == ["subscribed", 1, 2]


def _operands(action: str) -> dict[str, Any]:
    return {} if action == "filter" else {"subscriptions": ["crew_c1"]}


def _drain(bench: Bench, connection: Connection, socket: FakeSocket) -> None:
    socket.is_stuck, socket.backlog = False, 0
    bench.hub.drained(connection)
    bench.settle()
