"""What a client may say: one closed union, told apart by ``action``."""

from typing import Annotated, Final, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from contracts.errors import ContractError
from contracts.filters import EventFilter
from contracts.positions import Since

MAX_NAMES = 100
"""Subscriptions in one command."""

MAX_LAST = 10_000
"""The newest events that can be asked for by their number."""

_PLACES: Final = ("since", "since_time", "last")

Name = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Names = Annotated[list[Name], Field(min_length=1, max_length=MAX_NAMES)]


def _whole(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """One complaint about the value, where pydantic has one for each member of the union."""
    try:
        return handler(value)
    except ValidationError:
        raise ValueError("must be an integer, or a string of at most 128 characters") from None


CommandId = Annotated[Annotated[str, StringConstraints(max_length=128)] | int, WrapValidator(_whole)]


class _Command(BaseModel):
    """``id`` is the client's own mark and comes back in the answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: CommandId | None = None


def alone(value: object, info: ValidationInfo) -> object:
    """Refuse, as a field's validator, a second way to say where to begin."""
    others = [name for name in _PLACES if name != info.field_name and info.data.get(name) is not None]
    if value is not None and others:
        raise ValueError(f"cannot be given together with {others[0]}")
    return value


class Subscribe(_Command):
    """Add subscriptions, and look back for what they add.

    With ``since`` to what the log holds after that position, or that ``seq`` of ``epoch``; with
    ``since_time`` to what it has stored since then; with ``last`` to so many of the newest events.
    """

    action: Literal["subscribe"]
    subscriptions: Names
    since: Since | None = None
    epoch: Annotated[str, StringConstraints(max_length=64)] | None = None
    since_time: AwareDatetime | None = None
    last: Annotated[int, Field(ge=1, le=MAX_LAST)] | None = None

    _one_place = field_validator("since_time", "last")(alone)


class Unsubscribe(_Command):
    """Drop subscriptions."""

    action: Literal["unsubscribe"]
    subscriptions: Names


class Filter(_Command):
    """Replace the connection's filter as a whole; an empty one lets everything pass."""

    action: Literal["filter"]
    filter: EventFilter = EventFilter()


class Ping(_Command):
    """Ask whether the bridge is there, and where the log is."""

    action: Literal["ping"]


class List(_Command):
    """Ask what the connection is subscribed to."""

    action: Literal["list"]


Command = Subscribe | Unsubscribe | Filter | Ping | List
_COMMANDS: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="action")])
_MEMBERS: Final[dict[str, type[_Command]]] = {
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "filter": Filter,
    "ping": Ping,
    "list": List,
}
ACTIONS = frozenset(_MEMBERS)


def parse_command(text: str | bytes) -> Command:
    """Read one command. What it is not raises `ContractError` with the field, ``""`` for bad JSON."""
    try:
        return _COMMANDS.validate_json(text)
    except ValidationError as error:
        raise _fault(error) from None


def _fault(error: ValidationError) -> ContractError:
    """Pydantic puts the union's tag first: ``subscribe.since`` is the client's ``since``."""
    kind = error.errors(include_url=False, include_input=False)[0]["type"]
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return ContractError("action", f"must be one of {', '.join(sorted(ACTIONS))}")
    fault = ContractError.from_validation(error, _MEMBERS)
    tag, _, rest = fault.field.partition(".")
    return ContractError(rest if tag in ACTIONS else fault.field, fault.reason)
