"""What the properties of the contracts are tried on: ids, subjects, patterns, JSON and whole events."""

from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st

from contracts.catalog import payload_for
from contracts.events import WebSocketEvent
from contracts.subjects import ABSENT, ANY, Pattern, Subject
from contracts.types import EventPriority, EventType

type_names: Final = [str(event_type) for event_type in EventType]

law: Final = settings(deadline=None, max_examples=50)
"""No deadline: a busy machine is not a broken law."""

few: Final = settings(law, max_examples=3)
"""For a law that is tried on every type."""

text: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids: Final = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Z"], exclude_characters=".*>"), min_size=1, max_size=128
).filter(lambda text: text != ABSENT)

json_values: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
json_objects: Final = st.dictionaries(text, json_values, max_size=3)

# Patterns are made of a and b, subjects of c too: so there is always a subject that only wildcards reach.
subjects: Final = st.builds(Subject, *[st.sampled_from("abc")] * 4)
patterns: Final = st.builds(Pattern, *[st.sampled_from(f"ab{ANY}")] * 4)


@st.composite
def nats_patterns(draw: st.DrawFn) -> str:
    """Every form that a pattern has: four tokens, or fewer and ``>``."""
    tokens = draw(st.lists(st.sampled_from(f"ab{ANY}"), max_size=4))
    return ".".join(tokens if len(tokens) == 4 else [*tokens, ">"])


def values_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a JSON schema, as pydantic writes it, allows."""
    match schema:
        case {"anyOf": list(members)}:
            return st.one_of([values_of(member) for member in members])
        case {"enum": list(members)}:
            return st.sampled_from(members)
        case {"const": value}:
            return st.just(value)
        case {"type": "array"}:
            return st.lists(values_of(schema["items"]), max_size=3)
        case _:
            return _plain_values(schema.get("type"), schema.get("minimum"), schema.get("maximum"))


def _plain_values(kind: str | None, low: Any, high: Any) -> st.SearchStrategy[Any]:
    strategies: dict[str | None, st.SearchStrategy[Any]] = {
        "null": st.none(),
        "boolean": st.booleans(),
        "string": text,
        "integer": st.integers(low, high),
        "number": st.floats(low, high, allow_nan=False, allow_infinity=False),
        "object": json_objects,
    }
    return strategies.get(kind, json_values)


@cache
def payloads(event_type: str) -> st.SearchStrategy[dict[str, Any]]:
    """What the type's model allows, and now and then a key that it does not know."""
    schema = payload_for(event_type).model_json_schema()
    properties, required = schema.get("properties", {}), set(schema.get("required", ()))
    known = st.fixed_dictionaries(
        {name: values_of(properties[name]) for name in required},
        optional={name: values_of(properties[name]) for name in properties.keys() - required},
    )
    unknown = text.filter(lambda name: name not in properties)
    return st.builds(dict.__or__, st.dictionaries(unknown, json_values.filter(_present), max_size=2), known)


def _present(value: object) -> bool:
    """Of a key that no model knows, an absent value cannot be told from none."""
    return value is not None


moments: Final = st.datetimes(
    datetime(2, 1, 1),  # noqa: DTZ001 - the zone is drawn apart
    datetime(9998, 12, 31),  # noqa: DTZ001
    timezones=st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


_envelopes: Final[st.SearchStrategy[dict[str, Any]]] = st.fixed_dictionaries(
    {},
    optional={
        "event_id": ids,
        "timestamp": moments | st.just(datetime(2026, 7, 1, tzinfo=UTC)),
        "priority": st.sampled_from(EventPriority),
        "source": text,
        "crew_id": ids,
        "execution_id": ids,
        "task_id": ids,
        "agent_id": ids,
        "parent_id": ids,
        "sequence": st.integers(1),
        "client_id": ids,
        "metadata": json_objects,
    },
)


@st.composite
def events(draw: st.DrawFn, event_type: str | None = None) -> WebSocketEvent:
    """A whole event, of a given type or of any."""
    event_type = draw(st.sampled_from(type_names)) if event_type is None else str(event_type)
    return WebSocketEvent.create(event_type, draw(payloads(event_type)), **draw(_envelopes))
