"""The subject grammar: where an event is published, and the patterns that select events.

A subject is ``<family>.<action>.<crew_id>.<execution_id>``, with ``_`` for an absent id. A bare
subject is ``<family>.<action>`` alone; the ids then come from the event. A pattern is a subject
with the NATS wildcards ``*`` (one token) and ``>`` (all tokens that follow).
"""

import re
from functools import lru_cache
from typing import Annotated, Final, NamedTuple, Self

from pydantic import AfterValidator, StringConstraints

from contracts.errors import ContractError

ABSENT: Final = "_"
ANY: Final = "*"
_REST: Final = ">"
_BARE_TOKENS: Final = 2
_TOKENS: Final = 4

ID_PATTERN: Final = r"^[^\s.*>\x00-\x1f\x7f-\x9f]{1,128}$"
TYPE_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9_-]{0,63}\.[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
_ID: Final = re.compile(ID_PATTERN.removesuffix("$") + r"\Z")
_TYPE: Final = re.compile(TYPE_PATTERN.removesuffix("$") + r"\Z")


def _not_absent(value: str) -> str:
    if value == ABSENT:
        raise ValueError("'_' stands for an absent id")
    return value


Id = Annotated[str, StringConstraints(pattern=ID_PATTERN), AfterValidator(_not_absent)]
"""1-128 characters without white space, control characters, ``.``, ``*`` or ``>``; not ``_``."""


class Subject(NamedTuple):
    """The four tokens of a canonical subject."""

    family: str
    action: str
    crew_id: str
    execution_id: str

    @classmethod
    def build(cls, event_type: str, crew_id: str | None = None, execution_id: str | None = None) -> Self:
        """The subject of an event; a part that the grammar does not allow raises `ContractError`."""
        if not _TYPE.match(event_type):
            raise ContractError("event_type", "must be <family>.<action>")
        family, _, action = event_type.partition(".")
        return cls(family, action, _id_token("crew_id", crew_id), _id_token("execution_id", execution_id))

    @property
    def event_type(self) -> str:
        """The first two tokens, which are the type's name."""
        return f"{self.family}.{self.action}"

    def __str__(self) -> str:
        return ".".join(self)


def _id_token(field: str, value: str | None) -> str:
    if value is None:
        return ABSENT
    if value == ABSENT or not _ID.match(value):
        raise ContractError(field, "must be 1-128 characters without white space, '.', '*', '>', and not '_'")
    return value


@lru_cache(maxsize=4096)  # an execution publishes hundreds of events on a few subjects
def parse_subject(text: str) -> tuple[str, Subject | None]:
    """The event type of a published subject, and its tokens if it is scoped, None if it is bare.

    Anything but two or four well-formed tokens raises `ContractError`.
    """
    tokens = text.split(".")
    if len(tokens) not in {_BARE_TOKENS, _TOKENS}:
        raise ContractError("subject", "must be <family>.<action>, or that and <crew_id>.<execution_id>")
    event_type = f"{tokens[0]}.{tokens[1]}"
    if not _TYPE.match(event_type):
        raise ContractError("subject", "must begin with <family>.<action>")
    if len(tokens) == _BARE_TOKENS:
        return event_type, None
    if not all(_ID.match(token) for token in tokens[2:]):
        raise ContractError("subject", "has an id that is empty, too long, or malformed")
    return event_type, Subject(*tokens)


class Pattern(NamedTuple):
    """A subject pattern in its one canonical form: four tokens, each exact or ``*``.

    Every subject has four tokens, so ``task.>``, ``task.*`` and ``task.*.*.*`` mean the same.
    """

    family: str
    action: str
    crew_id: str
    execution_id: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a pattern with NATS wildcards; two tokens stand for all ids. Raises `ContractError`."""
        tokens = text.split(".")
        if tokens[-1] == _REST:
            tokens = tokens[:-1]
            if len(tokens) >= _TOKENS:
                raise ContractError("subscription", "has more than four tokens")
        elif len(tokens) not in {_BARE_TOKENS, _TOKENS}:
            raise ContractError("subscription", "a pattern has two tokens, four, or ends in '>'")
        if not all(token == ANY or _ID.match(token) for token in tokens):
            raise ContractError("subscription", "has a token that is empty, too long, or malformed")
        return cls(*tokens, *([ANY] * (_TOKENS - len(tokens))))

    def matches(self, subject: Subject) -> bool:
        """Whether the pattern selects events with this subject."""
        return all(mine in (ANY, theirs) for mine, theirs in zip(self, subject, strict=True))

    def covers(self, other: "Pattern") -> bool:
        """Whether every subject that ``other`` matches, this one matches too."""
        return all(mine in (ANY, theirs) for mine, theirs in zip(self, other, strict=True))

    def __str__(self) -> str:
        return ".".join(self)
