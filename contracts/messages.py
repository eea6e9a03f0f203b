"""What a bridge says besides events: one closed union, told apart by ``type``."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from contracts.commands import CommandId
from contracts.filters import EventFilter

RecoveryReason = Literal[
    "nothing_missed", "replayed", "too_old", "stream_reset", "unknown_cursor", "unverified", "too_many"
]
GapReason = Literal["retention", "stream_reset", "too_old", "too_many"]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def to_json(self) -> str:
        """Compact JSON without absent fields."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


class Recovery(_Message):
    """What became of a cursor: of the events ``from``..``to``, ``count`` follow."""

    recovered: bool
    """Whether everything since the cursor follows."""
    reason: RecoveryReason
    from_: Annotated[int, Field(alias="from")]
    to: int
    count: int | None = None
    """Absent where it cannot be said before they are read."""


class _Answer(_Message):
    id: CommandId | None = None
    """The command's ``id``, if it had one."""


class Subscribed(_Answer):
    """Answer to ``subscribe``: all subscriptions that the connection now has."""

    type: Literal["subscribed"] = "subscribed"
    subscriptions: list[str]
    recovery: Recovery | None = None


class Unsubscribed(_Answer):
    """Answer to ``unsubscribe``: the subscriptions that remain."""

    type: Literal["unsubscribed"] = "unsubscribed"
    subscriptions: list[str]


class Filtered(_Answer):
    """Answer to ``filter``: the filter that now holds."""

    type: Literal["filtered"] = "filtered"
    filter: EventFilter


class Listed(_Answer):
    """Answer to ``list``."""

    type: Literal["listed"] = "listed"
    subscriptions: list[str]
    filter: EventFilter


class Pong(_Answer):
    """Answer to ``ping``."""

    type: Literal["pong"] = "pong"
    epoch: str
    head: int
    """The newest ``seq`` of the log."""
    cursor: int
    """Everything up to this ``seq`` lies behind this connection."""
    position: str | None = None
    """The same, to come back with; absent for a connection that has far to read."""


class Error(_Answer):
    """A command was refused, or was not a command."""

    type: Literal["error"] = "error"
    code: str
    message: str
    field: str | None = None


class Gap(_Message):
    """The events ``from``..``to`` will not come; some may have been for this connection.

    They are gone, or with ``too_many`` more than the bridge lets a client ask for.
    """

    type: Literal["gap"] = "gap"
    from_: Annotated[int, Field(alias="from")]
    to: int
    reason: GapReason


Message = Subscribed | Unsubscribed | Filtered | Listed | Pong | Error | Gap
MESSAGES: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])
