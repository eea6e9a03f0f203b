"""The event: one envelope for all types, with typed data."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self
from uuid import uuid4

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticSerializationError, to_json

from contracts.catalog import BUILTIN, payload_for
from contracts.errors import ContractError
from contracts.payloads.base import OpenPayload, Payload
from contracts.subjects import TYPE_PATTERN, Id, Subject
from contracts.subscriptions import audience_of
from contracts.types import EventPriority, default_priority

EventId = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f-\x9f]{1,256}$")]


class WebSocketEvent(BaseModel):
    """What a crew reported: frozen, validated, JSON both ways.

    ``data`` may be given as a mapping and becomes the payload model of ``event_type``. Left out,
    ``event_id`` is a fresh UUID, ``timestamp`` is now, ``priority`` is the type's. The envelope is
    closed (an unknown key is refused, so that a misspelt id cannot hide an event); ``data`` and
    ``metadata`` are open.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    event_id: EventId = Field(default_factory=lambda: str(uuid4()))
    event_type: Annotated[str, StringConstraints(pattern=TYPE_PATTERN)]
    timestamp: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    priority: EventPriority = Field(default_factory=lambda values: default_priority(values["event_type"]))
    source: str | None = None
    """Which program reported it."""
    crew_id: Id | None = None
    execution_id: Id | None = None
    task_id: Id | None = None
    agent_id: Id | None = None
    parent_id: EventId | None = None
    """The ``event_id`` of the event that this one happened within."""
    sequence: Annotated[int, Field(ge=1)] | None = None
    """Dense from 1 in what one publisher stamps of one execution, and so a hole proves a loss.

    Several that work on an execution each count their own part; crew workers name theirs in
    ``metadata["worker"]``.
    """
    client_id: Id | None = None
    """Deliver to this client only."""
    audience: Annotated[str, StringConstraints(max_length=600)] | None = None
    """Deliver to who has this subscription, or one that covers it, whatever the type; or to ``everyone``.

    Such an event is published on the bare subject: who may publish for one crew only cannot reach others.
    """
    data: SerializeAsAny[Payload] = Field(default_factory=OpenPayload, validate_default=True)
    metadata: dict[str, Any] = Field(default_factory=dict)
    seq: Annotated[int, Field(ge=1)] | None = None
    """The place in the log; the bridge sets it, a publisher must not."""
    position: str | None = None
    """The place in the log, to come back with (`StreamPosition`); the bridge's to set, too."""

    @field_validator("event_type")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            payload_for(value)
        except ContractError as error:
            raise ValueError(error.reason) from None
        return value

    @field_validator("audience")
    @classmethod
    def _addressable(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        if info.data.get("client_id") is not None:
            raise ValueError("does not go with a client_id")
        try:
            audience_of(value)
        except ContractError:  # its reason quotes what was given, which may be anything here
            raise ValueError("must be everyone, or what a client can subscribe to") from None
        return value

    @field_validator("timestamp")
    @classmethod
    def _utc(cls, value: datetime) -> datetime:
        try:
            return value.astimezone(UTC)
        except OverflowError:
            raise ValueError("is out of range in UTC") from None

    @field_validator("data", mode="before")
    @classmethod
    def _typed(cls, value: object, info: ValidationInfo) -> object:
        """The value as the type's own payload; left alone where the type itself was refused."""
        event_type = info.data.get("event_type")
        if event_type is None:
            return OpenPayload()
        model = payload_for(event_type)
        if isinstance(value, model):
            return value
        if info.mode == "json" and event_type not in BUILTIN:
            # A registered model may have dates or enums, which strict validation reads from JSON text only.
            return model.model_validate_json(to_json(value))
        return model.model_validate(dict(value) if isinstance(value, (Payload, Mapping)) else value)

    @property
    def subject(self) -> Subject:
        """Its canonical subject, which says what it is about."""
        return Subject.build(self.event_type, self.crew_id, self.execution_id)

    @property
    def address(self) -> str:
        """Where it is published: on its subject, or, for an audience, on the bare one."""
        return str(self.subject) if self.audience is None else self.event_type

    def to_json(self) -> str:
        """Compact JSON without absent fields. Data that JSON cannot carry raises `ContractError`.

        ``NaN`` and infinities become ``null``, as in JavaScript.
        """
        try:
            return self.model_dump_json(exclude_none=True)
        except PydanticSerializationError as error:
            raise ContractError("data", "has a value that JSON cannot carry") from error

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote, or what a bridge sent. Raises `ContractError`."""
        try:
            return cls.model_validate_json(text, strict=True)
        except ValidationError as error:
            raise ContractError.from_validation(error) from None

    @classmethod
    def create(
        cls, event_type: str, data: Mapping[str, Any] | Payload | None = None, **envelope: Any
    ) -> Self:
        """Like the constructor, but what is wrong is a `ContractError`."""
        try:
            return cls(event_type=event_type, data={} if data is None else data, **envelope)  # type: ignore[arg-type]
        except ValidationError as error:
            raise ContractError.from_validation(error) from None
