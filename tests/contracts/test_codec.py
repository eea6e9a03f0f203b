"""The codec: what was published, with ``seq`` in front and what was left out behind it, and nothing else."""

import json
import traceback
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.catalog import payload_for
from contracts.codec import Decoded, StoredMessage, decode
from contracts.errors import ContractError
from contracts.events import WebSocketEvent
from contracts.subjects import ABSENT, Subject
from contracts.types import EventType, default_priority
from tests.contracts.strategies import events, few, json_values, law, payloads, type_names

EPOCH = "1752000000"
STORED_NS = 1_760_000_000_123_456_000
STORED = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=STORED_NS // 1000)
SECRET = "sk-Tq7-open-sesame"
FILLED = ["event_id", "event_type", "timestamp", "priority", "crew_id", "execution_id", "data"]


def stored(payload: bytes | object, subject: str = "task.completed.c1.e1", seq: int = 812) -> StoredMessage:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return StoredMessage(subject, body, seq, STORED_NS)


def fault(message: StoredMessage) -> ContractError:
    with pytest.raises(ContractError) as refused:
        decode(message, EPOCH)
    return refused.value


@st.composite
def published(draw: st.DrawFn, event_type: str | None = None) -> tuple[StoredMessage, dict[str, Any]]:
    """A message of which any field that can be filled may have been left out, and the JSON it holds."""
    event = draw(events(event_type))
    body = json.loads(event.to_json())
    may_lack = FILLED[:-1] if _needs_data(event.event_type) else FILLED
    for field in draw(st.sets(st.sampled_from(may_lack))):
        body.pop(field, None)
    scope = (event.crew_id or ABSENT, event.execution_id or ABSENT)
    subject = draw(st.sampled_from([event.event_type, ".".join((event.event_type, *scope))]))
    text = json.dumps(body, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 2])))
    around = st.text(" \t\r\n", max_size=2)
    payload = f"{draw(around)}{text}{draw(around)}".encode()
    return StoredMessage(subject, payload, draw(st.integers(1)), STORED_NS), body


def _needs_data(event_type: str) -> bool:
    return any(field.is_required() for field in payload_for(event_type).model_fields.values())


def expected(message: StoredMessage, body: dict[str, Any]) -> dict[str, Any]:
    """The published JSON and exactly what the stored message determines of the rest."""
    family, action, *scope = message.subject.split(".")
    ids = {
        name: token
        for name, token in zip(["crew_id", "execution_id"], scope, strict=False)
        if token != ABSENT
    }
    filled = {
        "seq": message.seq,
        "position": f"{message.seq}-{message.stored_ns:x}",
        "event_id": f"{EPOCH}-{message.seq}-{message.stored_ns:x}",
        "event_type": f"{family}.{action}",
        "timestamp": "2025-10-09T08:53:20.123456Z",
        "priority": default_priority(f"{family}.{action}"),
        "data": {},
    }
    return {**filled, **ids, **body}


@pytest.mark.parametrize("event_type", EventType)
@few
@given(st.data())
def test_the_wire_is_what_was_published_and_exactly_what_was_left_out(
    event_type: EventType, data: st.DataObject
) -> None:
    message, body = data.draw(published(event_type))

    wire = decode(message, EPOCH).wire

    assert json.loads(wire) == expected(message, body)
    assert wire.startswith(b'{"seq":%d' % message.seq)
    assert len(json.loads(wire, object_pairs_hook=list)) == len(json.loads(wire))


@law
@given(published())
def test_the_published_bytes_are_never_written_anew(given_: tuple[StoredMessage, dict[str, Any]]) -> None:
    message, _ = given_

    assert decode(message, EPOCH).wire.endswith(message.payload.strip()[1:].lstrip())


@law
@given(published())
def test_a_replay_is_byte_for_byte_what_went_out_live(given_: tuple[StoredMessage, dict[str, Any]]) -> None:
    message, _ = given_
    copy = message._replace(payload=bytes(bytearray(message.payload)))

    assert decode(copy, EPOCH) == decode(message, EPOCH)


@law
@given(published())
def test_the_event_is_what_a_client_reads_off_the_wire(given_: tuple[StoredMessage, dict[str, Any]]) -> None:
    message, _ = given_

    decoded = decode(message, EPOCH)

    read = WebSocketEvent.from_json(decoded.wire)
    assert dict(read) == dict(decoded.event) | {
        "seq": message.seq,
        "position": f"{message.seq}-{message.stored_ns:x}",
    }
    assert type(read.data) is type(decoded.event.data)
    assert decoded.subject == read.subject


def test_a_minimal_event_is_filled_from_the_stream_alone() -> None:
    decoded = decode(stored(b'{"data":{"result":42}}'), EPOCH)

    assert decoded.wire == (
        b'{"seq":812,"position":"812-%x","event_id":"1752000000-812-%x","timestamp":"2025-10-09T08:53:20.123456Z","priority":"normal",'
        b'"crew_id":"c1","execution_id":"e1","event_type":"task.completed","data":{"result":42}}'
    ) % (STORED_NS, STORED_NS)
    assert decoded.event.timestamp == STORED
    assert decoded.subject == Subject("task", "completed", "c1", "e1")


def test_nothing_but_its_place_is_added_to_a_whole_event() -> None:
    body = WebSocketEvent.create("task.completed", crew_id="c1", execution_id="e1").to_json().encode()

    assert decode(stored(body), EPOCH).wire == b'{"seq":812,"position":"812-%x",%b' % (STORED_NS, body[1:])


@pytest.mark.parametrize("payload", [b"{}", b" { } ", b"{\n}\n", b"\t{\r\n\t}"])
def test_an_empty_object_is_an_event(payload: bytes) -> None:
    wire = json.loads(decode(stored(payload), EPOCH).wire)

    assert wire == expected(stored(payload), {})


def test_on_a_bare_subject_the_ids_come_from_the_body() -> None:
    decoded = decode(stored({"crew_id": "c2"}, "task.completed"), EPOCH)

    assert decoded.subject == Subject("task", "completed", "c2", ABSENT)
    assert "execution_id" not in json.loads(decoded.wire)


def test_an_id_that_is_null_is_absent() -> None:
    decoded = decode(stored({"crew_id": None}, "task.completed._.e1"), EPOCH)

    assert decoded.event.crew_id is None
    assert decoded.event.execution_id == "e1"


@pytest.mark.parametrize(
    ("subject", "body", "field"),
    [
        ("task.completed.c1.e1", {"event_type": "task.failed", "data": {"error": "e"}}, "event_type"),
        ("task.completed", {"event_type": "crew.created"}, "event_type"),
        ("task.completed.c1.e1", {"crew_id": "c2"}, "crew_id"),
        ("task.completed.c1.e1", {"execution_id": "e2"}, "execution_id"),
        ("task.completed.c1.e1", {"crew_id": None}, "crew_id"),
        ("task.completed._._", {"crew_id": "c1"}, "crew_id"),
        ("task.completed._.e1", {"execution_id": None}, "execution_id"),
        ("task.completed.c1.e1", {"crew_id": "e1", "execution_id": "c1"}, "crew_id"),
        ("task.completed.c1.e1", {"crew_id": "C1"}, "crew_id"),
    ],
)
def test_a_body_that_contradicts_its_subject_is_refused(
    subject: str, body: dict[str, object], field: str
) -> None:
    error = fault(stored(body, subject))

    assert (error.field, error.reason) == (field, "contradicts the subject")


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (b'{"seq":1}', "seq"),
        (b'{"seq":null}', "seq"),
        (b'{"position":"1-5f"}', "position"),
        (b'{"p\\u006fsition":null}', "position"),
        (b'{"\\u0073eq":1}', "seq"),
        (b'{"s\\u0065q":812}', "seq"),
        (b'{"event_type":"task.completed","\\u0073\\u0065\\u0071":5}', "seq"),
        (b'{"\\u0063rew_id":"c2"}', "crew_id"),
        (b'{"crew_id":"c1","crew\\u005fid":"c2"}', "crew_id"),
        (b'{"crew_id":"c1","crew_id":"c2"}', "crew_id"),
        (b'{"event\\u005ftype":"crew.created"}', "event_type"),
        (b'{"event_type":"task.completed","event_typ\\u0065":"crew.created"}', "event_type"),
    ],
)
def test_neither_an_escape_nor_a_second_key_hides_a_reserved_one(payload: bytes, field: str) -> None:
    assert fault(stored(payload)).field == field


def test_of_a_key_that_comes_twice_the_last_counts_for_the_bridge_as_for_a_browser() -> None:
    decoded = decode(stored(b'{"task_id":"t1","task_id":"t2","data":{"result":1,"result":2}}'), EPOCH)

    assert decoded.event.task_id == json.loads(decoded.wire)["task_id"] == "t2"
    assert decoded.event.data.model_dump()["result"] == json.loads(decoded.wire)["data"]["result"] == 2


def test_seq_is_the_bridge_s_word_only_in_the_envelope() -> None:
    assert json.loads(decode(stored({"data": {"seq": 1}, "metadata": {"seq": 2}}), EPOCH).wire)["seq"] == 812


@st.composite
def with_constant(draw: st.DrawFn) -> bytes:
    """JSON, but for one word that is none, anywhere in what is open."""
    text = draw(st.sampled_from(["NaN", "Infinity", "-Infinity"]))
    for _ in range(draw(st.integers(0, 4))):
        text = draw(st.sampled_from(["[{}]", '["a",{}]', '{{"a":{}}}', '{{"b":"NaN","a":{}}}'])).format(text)
    return (
        draw(
            st.sampled_from(
                [
                    '{{"data":{{"x":{}}}}}',
                    '{{"metadata":{{"x":{}}}}}',
                    '{{"data":{{"result":{}}}}}',
                    '{{"data":{}}}',
                ]
            )
        )
        .format(text)
        .encode()
    )


@law
@given(with_constant())
def test_a_number_that_no_browser_can_parse_is_refused_anywhere(payload: bytes) -> None:
    fault(stored(payload))


@pytest.mark.parametrize("field", [*WebSocketEvent.model_fields])
@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_no_field_of_the_envelope_takes_what_is_not_a_number(field: str, constant: str) -> None:
    fault(stored(f'{{"{field}":{constant}}}'.encode()))


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "a NaN b"])
def test_the_words_themselves_may_be_said(word: str) -> None:
    wire = decode(stored({"data": {"result": word}, "metadata": {word: word}}), EPOCH).wire

    assert json.loads(wire)["metadata"] == {word: word}


@pytest.mark.parametrize("event_type", EventType)
@settings(few, max_examples=1)
@given(st.data())
def test_an_event_that_gives_no_priority_has_the_type_s(event_type: EventType, data: st.DataObject) -> None:
    decoded = decode(stored({"data": data.draw(payloads(event_type))}, event_type), EPOCH)

    assert decoded.event.priority is default_priority(event_type)
    assert json.loads(decoded.wire)["priority"] == default_priority(event_type)


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (b"", ""),
        (b"[]", ""),
        (b"5", ""),
        (b'"task.completed"', ""),
        (b"{", ""),
        (b"{} {}", ""),
        (b'{"data":{}},', ""),
        (b'{,"data":{}}', ""),
        (b"\xef\xbb\xbf{}", ""),
        (b'{"source":"\xff"}', ""),
        (b'{"source":"\\ud800"}', ""),
        (b"\x00", ""),
        ("{}".encode("utf-16"), ""),
        (b'{"metadata":{"a":' + b"[" * 1000 + b"]" * 1000 + b"}}", ""),
        (b'{"metadata":{"NaN":' + b"1" * 5000 + b"}}", ""),
        (b'{"timestamp":"0001-01-01T00:00:00+14:00"}', "timestamp"),
        (b'{"task":"t1"}', "task"),
        (b'{"data":{"duration_ms":"5"}}', "data.duration_ms"),
    ],
)
def test_bytes_that_are_no_event_are_refused(payload: bytes, field: str) -> None:
    assert fault(stored(payload)).field == field


@pytest.mark.parametrize(
    "subject", ["", "task", "a.b.c", "task.completed.c1.e 1", "task.completed.*.e1", "a.b.c.d.e"]
)
def test_a_message_on_what_is_no_subject_is_refused(subject: str) -> None:
    assert fault(stored(b"{}", subject)).field == "subject"


def test_a_message_of_an_unknown_type_is_refused() -> None:
    assert fault(stored(b"{}", "nobody.knows.c1.e1")).field == "event_type"


json_like = st.dictionaries(st.sampled_from([*WebSocketEvent.model_fields]), json_values).map(json.dumps)
damaged = st.builds(
    lambda text, at, noise: text.encode()[:at] + noise + text.encode()[at:],
    json_like | events().map(WebSocketEvent.to_json),
    st.integers(0, 200),
    st.binary(max_size=3),
)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60) | damaged, st.sampled_from([f"{name}.c1.e1" for name in type_names]))
def test_arbitrary_bytes_are_an_event_or_a_contract_error(payload: bytes, subject: str) -> None:
    decoded = decode_or_none(stored(payload, subject))

    if decoded is not None:
        wire = json.loads(decoded.wire, parse_constant=pytest.fail)
        assert wire["seq"] == 812
        assert wire["event_type"] == decoded.event.event_type


def decode_or_none(message: StoredMessage) -> Decoded | None:
    try:
        return decode(message, EPOCH)
    except ContractError:
        return None


def hidden(value: str) -> list[object]:
    """A secret in the shapes in which a publisher may misplace it."""
    return [value, [value], {"a": value}, {"a": [{"b": value}]}, [[value, 5]]]


@pytest.mark.parametrize("field", [*WebSocketEvent.model_fields])
def test_what_is_wrong_with_the_envelope_is_said_without_a_value(field: str) -> None:
    for value in hidden(SECRET):
        assert SECRET not in complaint_about(stored({field: value}))


@pytest.mark.parametrize("event_type", EventType)
def test_what_is_wrong_with_the_data_is_said_without_a_value(event_type: EventType) -> None:
    for name in payload_for(event_type).model_fields:
        for value in hidden(SECRET):
            assert SECRET not in complaint_about(stored({"data": {name: value}}, event_type))


@pytest.mark.parametrize("cut", range(1, 60, 3))
def test_broken_json_is_refused_without_a_word_of_it(cut: int) -> None:
    payload = json.dumps({"data": {"result": SECRET}, "metadata": {"a": SECRET}}).encode()[:-cut]

    assert SECRET[:8] not in complaint_about(stored(payload))


def complaint_about(message: StoredMessage) -> str:
    """All that a log could show of the error, the traceback included."""
    try:
        decode(message, EPOCH)
    except ContractError as error:
        return f"{error} {error!r} {error.field} {error.reason} {''.join(traceback.format_exception(error))}"
    return ""


def test_an_audience_needs_the_bare_subject_which_only_who_may_publish_for_all_can_use() -> None:
    body = {"audience": "everyone", "data": {}}

    assert decode(stored(body, "custom.note"), EPOCH).event.audience == "everyone"
    assert fault(stored(body, "custom.note._._")).field == "audience"
