"""The query parameters that a client may put on its connection's URL."""

import re
from typing import Annotated, Final

from multidict import MultiMapping
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from bridge.core.start import Start
from contracts.commands import MAX_LAST, alone
from contracts.errors import ContractError
from contracts.filters import EventFilter
from contracts.positions import Since, nanoseconds
from contracts.subjects import Id
from contracts.types import EventPriority

_SPACE: Final = re.compile(r"(?<=\d) (?=\d\d:\d\d$)")


class Query(BaseModel):
    """What the client asks for besides its path: where to begin, and what to get."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    since: Since | None = None
    """Resume after this ``position``, or this ``seq``."""
    epoch: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    """The stream that a ``seq`` in ``since`` belongs to."""
    since_time: AwareDatetime | None = None
    """Begin with the first event of this time or later."""
    last: Annotated[int, Field(ge=1, le=MAX_LAST)] | None = None
    """Begin with the newest so many events."""
    types: frozenset[str] | None = None
    """Event types, or families as in ``task.*``, separated by commas."""
    min_priority: EventPriority | None = None
    """Nothing that matters less."""
    batch: bool = False
    """Arrays of events, one a flush."""
    client_id: Id | None = None
    """Who the client is: events may be addressed to it. By default it is given an id."""

    @field_validator("types", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value

    @field_validator("types")
    @classmethod
    def _known(cls, value: frozenset[str] | None) -> frozenset[str] | None:
        try:
            return EventFilter(types=value).types
        except ValidationError as error:
            raise ValueError(ContractError.from_validation(error).reason) from None

    @field_validator("since_time", mode="before")
    @classmethod
    def _with_plus(cls, value: object) -> object:
        """Who forgets to escape the ``+`` of an offset has written a space."""
        return _SPACE.sub("+", value) if isinstance(value, str) else value

    _one_place = field_validator("since_time", "last")(alone)

    @property
    def start(self) -> Start:
        """Where the parameters say to begin."""
        if self.since is not None:
            return Start.at(self.since, self.epoch)
        time = None if self.since_time is None else nanoseconds(self.since_time)
        return Start(time_ns=time, last=self.last)

    @property
    def filter(self) -> EventFilter:
        """The filter that the parameters make."""
        return EventFilter(types=self.types, min_priority=self.min_priority)


def parse_query(query: MultiMapping[str]) -> Query:
    """Read them; an unknown, repeated or malformed one raises `ContractError`."""
    repeated = next((name for name in query if len(query.getall(name)) > 1), None)
    if repeated is not None:
        raise ContractError(repeated, "is given more than once")
    try:
        return Query.model_validate(dict(query))
    except ValidationError as error:
        raise ContractError.from_validation(error, Query) from None
