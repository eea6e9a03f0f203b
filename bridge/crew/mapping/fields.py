"""The kinds of fields that a row can have; each takes the path of what it reads in CrewAI's event."""

import json
from collections.abc import Mapping
from typing import Any, Final

from bridge.crew.content import text_of
from bridge.crew.identity import attribute
from bridge.crew.mapping.page import Page, Put

_MAX_NAMES: Final = 100


def label(path: str, default: str | None = None) -> Put:
    """A name, a role, an error."""

    def put(page: Page, name: str) -> None:
        value = page.read(path)
        if value is not None or default is not None:
            page.label(name, default if value is None else value)

    return put


def answer(path: str) -> Put:
    """Text that the crew worked out: cut, unless all content was asked for."""

    def put(page: Page, name: str) -> None:
        if (value := page.read(path)) is not None:
            page.text(name, value, page.content)

    return put


def outcome(*paths: str) -> Put:
    """What came of something, at the first of ``paths`` that has it: a text, or lists and objects as such."""

    def put(page: Page, name: str) -> None:
        value = next((found for path in paths if (found := page.read(path)) is not None), None)
        if isinstance(value, (dict, list, tuple, set, frozenset, bool, int, float)):
            page.structure(name, value, page.content)
        elif value is not None:
            page.text(name, value, page.content)

    return put


def values(path: str) -> Put:
    """Arguments, inputs, lists."""

    def put(page: Page, name: str) -> None:
        if (value := page.read(path)) is not None:
            page.structure(name, value, page.content)

    return put


def arguments(path: str) -> Put:
    """A tool's arguments; where a model wrote them as JSON text, what the text says."""

    def put(page: Page, name: str) -> None:
        if (value := page.read(path)) is not None:
            page.structure(name, parsed_arguments(value) or value, page.content)

    return put


def parsed_arguments(given: object) -> dict[str, Any]:
    """A tool's arguments as an object; empty if they are none."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            return {}
    return given if isinstance(given, dict) else {}


def mapping(path: str) -> Put:
    """Like `values`, where the type asks for an object and nothing else."""
    write = values(path)

    def put(page: Page, name: str) -> None:
        if isinstance(page.read(path), dict):
            write(page, name)

    return put


def prompt(path: str) -> Put:
    """What a model is told: only if all content was asked for."""

    def put(page: Page, name: str) -> None:
        if page.content == "full" and (value := page.read(path)) is not None:
            page.structure(name, value, "full")

    return put


def chars(path: str) -> Put:
    """How long a text is, or all texts of a list of messages."""

    def put(page: Page, name: str) -> None:
        if (value := page.read(path)) is not None:
            page.data[name] = _chars(value)

    return put


def _chars(value: object) -> int:
    if isinstance(value, list):
        return sum(
            _chars(item.get("content") or "") if isinstance(item, dict) else _chars(item) for item in value
        )
    return len(text_of(value))


def count(path: str) -> Put:
    """A whole number, not negative."""

    def put(page: Page, name: str) -> None:
        value = page.read(path)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53:
            page.data[name] = int(value)

    return put


def number(path: str) -> Put:
    """A number that is not negative."""

    def put(page: Page, name: str) -> None:
        value = page.read(path)
        if isinstance(value, (int, float)) and 0 <= value < 2**53:
            page.data[name] = float(value)

    return put


def flag(path: str) -> Put:
    """True or false."""

    def put(page: Page, name: str) -> None:
        if isinstance(value := page.read(path), bool):
            page.data[name] = value

    return put


def size(path: str) -> Put:
    """How many there are, in a list."""

    def put(page: Page, name: str) -> None:
        if isinstance(value := page.read(path), (list, tuple)):
            page.data[name] = len(value)

    return put


def names(path: str) -> Put:
    """The names of things in a list: tools, mostly."""

    def put(page: Page, name: str) -> None:
        if isinstance(value := page.read(path), (list, tuple)):
            page.names(name, (attribute(item, "name") or item for item in value[:_MAX_NAMES]))

    return put


def error_type(page: Page, name: str) -> None:
    """What kind of error it is: as the event says, or the name of the error's class."""
    said = page.read("error_type")
    kind = page.read("error") if said is None else said
    if isinstance(said, str):
        page.label(name, said)
    elif kind is not None and not isinstance(kind, str):
        page.label(name, (kind if isinstance(kind, type) else type(kind)).__name__)


def elapsed(page: Page, name: str) -> None:
    """Milliseconds since the event that this one ends."""
    if page.context.elapsed_ms is not None:
        page.data[name] = round(page.context.elapsed_ms, 3)


FAILURE: Final[Mapping[str, Put]] = {
    "error": label("error", "no reason given"),
    "error_type": error_type,
    "duration_ms": elapsed,
}
"""Why something failed."""
