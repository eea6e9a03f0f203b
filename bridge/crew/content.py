"""What of a crew's words is published: cut, bounded, and without what looks like a secret.

Nothing is ever dumped. Only plain values pass; an object is named by its class, because the objects that
CrewAI's events refer to hold the keys of the models that they call.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from enum import Enum
from math import isfinite
from pathlib import PurePath
from typing import Any, Final, Literal
from uuid import UUID

from bridge.crew.secrecy import HIDDEN, scrubbed
from bridge.crew.secret_names import is_secret

Content = Literal["none", "cut", "full"]
"""How much of results, answers and arguments is published; prompts are only with ``full``."""

TEXT_CHARS: Final[dict[Content, int]] = {"none": 0, "cut": 2_000, "full": 100_000}
LABEL_CHARS: Final = 500
STUB_CHARS: Final = 200
_STUB_FIELDS: Final = 50
_PAIR: Final = 2
_NAME_CHARS: Final = 100
_NAMING: Final = ("name", "key", "header")
_NAMED: Final = frozenset({"value", "default"})
"""As in ``{"name": "DB_PASSWORD", "value": "…"}``."""
_MAX_VALUES: Final = 1_000
_MAX_CHARS: Final = 500_000
"""Of all texts of one event: to look through more takes a crew its time, for what becomes a stub."""
_MAX_DEPTH: Final = 6
_MAX_INT: Final = 2**53
_MAX_FLOAT: Final = 1e300

Json = Any
Data = dict[str, Json]


class Cutter:
    """Makes values publishable, within one budget for one event, and notes what it had to cut."""

    def __init__(self) -> None:
        self.notes: dict[str, int] = {}
        """The full length in characters of each text that was cut, by its path: ``inputs.topic``."""
        self._budget = _MAX_VALUES
        self._chars = _MAX_CHARS

    def text(self, path: str, value: object, limit: int) -> str:
        """``value`` as valid Unicode of ``limit`` characters at most, with an ellipsis if there were more.

        What looks like a secret in it is hidden.
        """
        whole = text_of(value)
        limit = min(limit, max(self._chars, LABEL_CHARS))
        self._chars -= min(len(whole), limit)
        text = scrubbed(whole, limit)
        if len(whole) > limit:
            self.notes[path] = len(whole)
            text = f"{text[: max(limit - 1, 0)]}…"
        return unicode(text[: max(limit, 1)])

    def plain(self, path: str, value: object, limit: int, depth: int = _MAX_DEPTH) -> Json:
        """``value`` as JSON: texts cut at ``limit``, 1,000 values in 6 levels, secrets hidden."""
        self._budget -= 1
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, Enum):
            return _number(value)
        if isinstance(value, Mapping):
            return dict(self._entries(path, value, limit, depth))
        if isinstance(value, (list, tuple, set, frozenset)):
            return list(self._items(path, value, limit, depth))
        return self.text(path, value, limit)

    def _items(self, path: str, value: Collection[Any], limit: int, depth: int) -> Iterator[Json]:
        """A secret's name can stand before it: ``["api_key", "…"]``, ``["--password", "…"]``."""
        named = False
        for item in self._affordable(path, value, depth):
            yield HIDDEN if named else self.plain(path, item, limit, depth - 1)
            named = _names_secret(item) and (len(value) == _PAIR or item.startswith("-"))

    def _entries(
        self, path: str, value: Mapping[Any, Any], limit: int, depth: int
    ) -> Iterator[tuple[str, Json]]:
        of_secret = any(_names_secret(value.get(key)) for key in _NAMING)
        for key, item in self._affordable(path, value.items(), depth):
            name = self.text(path, key, LABEL_CHARS)
            hidden = is_secret(name) or (of_secret and name in _NAMED)
            yield name, HIDDEN if hidden else self.plain(f"{path}.{name}", item, limit, depth - 1)

    def _affordable(self, path: str, items: Collection[Any], depth: int) -> Iterator[Any]:
        """As many items as the budget allows; how many there were is noted if some are left out."""
        for index, item in enumerate(tuple(items)):
            if min(self._budget, self._chars, depth) <= 0:
                self.notes[path] = max(len(items), index)
                return
            yield item


def _names_secret(value: object) -> bool:
    """Whether it is a name, and a secret's: a sentence is not."""
    return isinstance(value, str) and len(value) <= _NAME_CHARS and " " not in value and is_secret(value)


def _number(value: float) -> Json:
    """Numbers that every JSON reader takes as they are; the others as text."""
    if isinstance(value, int):
        return (
            int(value)
            if abs(value) <= _MAX_INT
            else f"{float(value):g}"
            if abs(value) < _MAX_FLOAT
            else "<int>"
        )
    return float(value) if isfinite(value) else str(value)


def unicode(text: str) -> str:
    """``text`` with a question mark for each half of a character, which JSON cannot carry."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def text_of(value: object) -> str:
    """Text as it is, values as text, exceptions as their message, any other object as its class's name."""
    if type(value) is str:
        return value
    if isinstance(value, Enum):
        return text_of(value.value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, BaseException):
        return _message(value) or type(value).__name__
    if isinstance(value, (int, float, UUID, PurePath, date)):
        return str(value)
    raw = getattr(value, "raw", None)  # CrewAI's outputs say in ``raw`` what they are as text.
    return raw if isinstance(raw, str) else f"<{type(value).__name__}>"


def _message(error: BaseException) -> str | None:
    try:
        return str(error)
    except Exception:  # An application's own class, in whose code anything can happen.
        return None


def stub(data: Data, size: int) -> Data:
    """What is left of data that is too large even after cutting, and how many bytes it had."""
    kept = {
        name: value[:STUB_CHARS] if isinstance(value, str) else value
        for name, value in data.items()
        if isinstance(value, (str, int, float))
    }
    return {**dict(list(kept.items())[:_STUB_FIELDS]), "too_large": size}
