"""What every payload has in common."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Json = Any
"""Any JSON value; its shape is the publisher's."""
Milliseconds = Annotated[float, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(ge=0)]
"""So many a second."""
Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Payload(BaseModel):
    """The ``data`` of an event. Unknown keys pass, so that contracts grow by adding.

    Numbers, strings and booleans are taken as they are and never converted: the bridge forwards the
    published bytes, so what it validated must be what the browser reads.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)


class OpenPayload(Payload):
    """Any JSON object: the payload of custom types and of families that an operator added."""


class Failure(Payload):
    """Why something failed."""

    error: str
    error_type: str | None = None
    """The exception's class name."""
    duration_ms: Milliseconds | None = None
