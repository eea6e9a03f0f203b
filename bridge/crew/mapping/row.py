"""A row of the mapping: our type for one of CrewAI's, and the fields that pass."""

import re
from collections.abc import Callable
from typing import Any, Final

from bridge.crew.content import Data
from bridge.crew.context import Context
from bridge.crew.mapping.page import Page, Put
from bridge.crew.secret_names import is_secret

_WORD: Final = re.compile(r"[^A-Za-z0-9_-]+")
_ENVELOPE: Final = frozenset(
    {"type", "timestamp", "task_id", "agent_id", "parent_id", "fingerprint_metadata", "source_fingerprint"}
    | {"source_type", "emission_sequence"}
)
"""What CrewAI's base class holds, which is not an event's own."""
_MAX_ACTION: Final = 64


class Row:
    """Our type, whose priority the event has, and the fields that pass."""

    def __init__(self, event_type: str, /, **fields: Put) -> None:
        self._type = event_type
        self._fields = fields

    def event_type(self, event: Any, context: Context) -> str:  # noqa: ARG002  # Other rows look.
        """Our type for this event."""
        return self._type

    def write(self, page: Page) -> Data:
        """The data that passes."""
        for name, put in self._fields.items():
            put(page, name)
        return page.finished()


class RunRow(Row):
    """A row with two types: for a run that is the execution, and for one within a larger execution."""

    def __init__(self, outermost: str, nested: str, /, **fields: Put) -> None:
        super().__init__(outermost, **fields)
        self._nested = nested

    def event_type(self, event: Any, context: Context) -> str:  # noqa: ARG002  # Other rows look.
        """Which of the two it is."""
        return self._type if context.begins or context.ends else self._nested


class Either(Row):
    """Two rows, of which each event has one."""

    def __init__(self, is_first: Callable[[Any, Context], bool], first: Row, second: Row) -> None:
        super().__init__("")
        self._is_first = is_first
        self._rows = second, first

    def event_type(self, event: Any, context: Context) -> str:
        """The type of the row that the event has."""
        return self._rows[self._is_first(event, context)].event_type(event, context)

    def write(self, page: Page) -> Data:
        """The data of the row that the event has."""
        return self._rows[self._is_first(page.event, page.context)].write(page)


def row_for_unknown(event_type: str) -> Row:
    """The row of a class that the table does not know, a user's own for example: scalars only."""
    action = _WORD.sub("_", event_type).strip("_-")[:_MAX_ACTION]
    return Row(f"custom.{action or 'event'}", data=_scalars)


def _scalars(page: Page, _: str) -> None:
    for name in type(page.event).model_fields:
        value = page.read(name)
        ours = name not in _ENVELOPE and not name.endswith("event_id") and not is_secret(name)
        if ours and isinstance(value, str):
            page.text(name, value, page.content)
        elif ours and isinstance(value, (bool, int, float)):
            page.structure(name, value, "cut")
