"""Reading events of the built-in types at once: pydantic's core does all of it, and calls no Python.

`WebSocketEvent` looks up the payload's model, and turns the time into UTC, in Python, for each event. Where
the type is known beforehand, as it is by the subject, one model holds both envelope and typed payload.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Final, Literal

from pydantic import TypeAdapter, ValidationError, create_model, field_validator

from contracts.catalog import BUILTIN
from contracts.events import WebSocketEvent

_ZERO: Final = timedelta(0)
_NOWHERE: Final = "nothing"
"""A field that does not exist: a validator for it stands in for one that is left out."""


_left_out = field_validator(_NOWHERE, check_fields=False)(lambda value: value)


class _Envelope(WebSocketEvent):
    """An event whose type is settled, so that nothing is left to look up."""

    _known = _left_out  # type: ignore[assignment]  # pydantic looks at the name alone
    _typed = _left_out  # type: ignore[assignment]
    _utc = _left_out  # type: ignore[assignment]


@cache  # one a built-in type, at most
def _reader(event_type: str) -> Callable[..., WebSocketEvent]:
    model: type[WebSocketEvent] = create_model(
        f"Quick_{event_type}",
        __base__=_Envelope,
        event_type=(Literal[str(event_type)], ...),  # type: ignore[arg-type]  # it is one, made while we run
        data=(BUILTIN[event_type], ...),
    )
    return TypeAdapter(model).validator.validate_json


def read_quickly(body: bytes, event_type: str) -> WebSocketEvent | None:
    """The event, equal to what `WebSocketEvent` makes of it; None where only that can tell.

    That is so for types that are not built in, times that are not in UTC, and whatever is wrong.
    """
    if event_type not in BUILTIN:
        return None
    try:
        event = _reader(event_type)(body, strict=True)
    except ValidationError:
        return None
    return event if event.timestamp.utcoffset() == _ZERO else None
