"""A page: the data of one event, while it is written."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from bridge.crew.content import LABEL_CHARS, TEXT_CHARS, Content, Cutter, Data
from bridge.crew.context import Context
from bridge.crew.identity import attribute


class Page:
    """The data of one event, while it is written."""

    def __init__(self, source: Any, event: Any, context: Context, content: Content) -> None:
        self.source = source
        self.event = event
        self.context = context
        self.content = content
        self.data: Data = {}
        self._cutter = Cutter()

    def read(self, path: str) -> Any:
        """The value at a dotted path in the event or its source (``source.name``); None if there is none."""
        of_source, names = _steps(path)
        value = self.source if of_source else self.event
        for name in names:
            if value is None:
                return None
            value = value.get(name) if isinstance(value, dict) else attribute(value, name)
        return value

    def label(self, name: str, value: object) -> None:
        """A name or a reason: always there, 500 characters at most."""
        self.data[name] = self._cutter.text(name, value, LABEL_CHARS)

    def text(self, name: str, value: object, content: Content) -> None:
        """A text of the crew's, as long as ``content`` says; with ``none`` only its length is noted."""
        text = self._cutter.text(name, value, TEXT_CHARS[content])
        if content != "none":
            self.data[name] = text

    def structure(self, name: str, value: object, content: Content) -> None:
        """Values of the crew's, bounded; nothing with ``none``."""
        if content != "none":
            self.data[name] = self._cutter.plain(name, value, TEXT_CHARS[content])

    def names(self, name: str, values: Iterable[object]) -> None:
        """Names of things, each like a label."""
        self.data[name] = [self._cutter.text(name, value, LABEL_CHARS) for value in values]

    def finished(self) -> Data:
        """The data, with the full lengths of what was cut."""
        return {**self.data, "cut": self._cutter.notes} if self._cutter.notes else self.data


@cache
def _steps(path: str) -> tuple[bool, list[str]]:
    """Whether a path begins at the source, and its names. There are as many paths as the table has."""
    first, *rest = names = path.split(".")
    return (True, rest) if first == "source" else (False, names)


Put = Callable[[Page, str], None]
"""Writes one field of an event's data, if the event has it."""
