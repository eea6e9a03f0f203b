"""The operations of operators: how the bridges are, who is connected, and what to do about it."""

from importlib.metadata import version
from typing import Annotated, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, field_validator

from bridge.core.socket import CloseCode
from bridge.web.errors import UnknownClientError, refuse
from bridge.web.manager import CONNECTIONS
from bridge.web.operation import Nothing, Operation
from bridge.web.shore import SHORE
from contracts.cluster import Survey
from contracts.operations import Connections, Disconnected, Explained, Health, Removed
from contracts.subscriptions import parse_subscription

_MAX_REASON_BYTES: Final = 123
"""What a WebSocket close frame has room for (RFC 6455, 5.5)."""


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Listing(_Asked):
    """Which connections, and how many of them at once."""

    limit: Annotated[int, Field(ge=1, le=500)] = 100
    after: Annotated[str, Field(max_length=256, pattern="^(.+@.+)?$")] | None = None
    """``next`` of the page before."""
    subscription: str | None = None
    """Those that have this subscription, by whatever name."""
    endpoint: str | None = None
    principal: str | None = None
    min_lag: Annotated[int, Field(ge=0)] = 0
    """Those that are so many sequence numbers behind, at least."""

    @field_validator("subscription")
    @classmethod
    def _exists(cls, value: str | None) -> str | None:
        if value is not None:
            parse_subscription(value)
        return value

    @property
    def survey(self) -> Survey:
        """The question to the bridges."""
        client_id, _, instance = (self.after or "").rpartition("@")
        asked = self.model_dump(exclude={"after"})
        return Survey(**asked, after=(client_id, instance) if self.after else None)


class Dismissal(_Asked):
    """How to end a connection."""

    code: Annotated[int, Field(ge=4000, le=4999)] = CloseCode.DISCONNECTED
    """4000-4499: the client should come back; 4500-4999: it should not."""
    reason: str = "ended by an operator"
    """At most 123 bytes."""

    @field_validator("reason")
    @classmethod
    def _fits(cls, value: str) -> str:
        if len(value.encode()) > _MAX_REASON_BYTES:
            raise ValueError(f"is longer than {_MAX_REASON_BYTES} bytes")
        return value


class Silence(_Asked):
    """Which connections are stale."""

    silent_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Those from which nothing came for so long; more than a heartbeat's interval, in which a client that
    lives may well say nothing. Default: ``BRIDGE_STALE_SECONDS``."""


async def _health(request: web.Request, _: Nothing, __: Nothing) -> Health:
    shore, connections = request.app[SHORE], request.app[CONNECTIONS]
    return Health(
        status="healthy" if shore.is_ready else "degraded",
        active_connections=len(shore.hub.connections),
        total_messages_sent=shore.hub.counters.messages_out,
        uptime_seconds=round(shore.uptime, 3),
        last_cleanup=shore.last_cleanup,
        instance=connections.instance,
        version=version("crew-bridge"),
        peers=connections.peers,
    )


async def _list(request: web.Request, listing: Listing, _: Nothing) -> Connections:
    return await request.app[CONNECTIONS].connections(listing.survey)


async def _explain(request: web.Request, _: Nothing, __: Nothing) -> Explained:
    try:
        return await request.app[CONNECTIONS].explain(request.match_info["client_id"])
    except UnknownClientError as error:
        raise error.refusal from None


async def _disconnect(request: web.Request, _: Nothing, dismissal: Dismissal) -> Disconnected:
    client_id = request.match_info["client_id"]
    try:
        return await request.app[CONNECTIONS].disconnect(client_id, dismissal.code, dismissal.reason)
    except UnknownClientError as error:
        raise error.refusal from None


async def _clean_up(request: web.Request, silence: Silence, _: Nothing) -> Removed:
    heartbeat = request.app[SHORE].limits.heartbeat_seconds
    if silence.silent_seconds is not None and silence.silent_seconds <= heartbeat:
        reason = f"must be more than a heartbeat's {heartbeat:g} s"
        raise refuse(422, "invalid_request", reason, "silent_seconds")
    return await request.app[CONNECTIONS].clean_up(silence.silent_seconds)


OPERATIONS: Final = (
    Operation(
        name="health",
        method="GET",
        path="/health",
        summary="How the bridge that is asked is",
        act=_health,
        query=Nothing,
        body=Nothing,
        answer=Health,
    ),
    Operation(
        name="list_connections",
        method="GET",
        path="/connections",
        summary="Who is connected, in the whole cluster, page by page",
        act=_list,
        query=Listing,
        body=Nothing,
        answer=Connections,
    ),
    Operation(
        name="explain_connection",
        method="GET",
        path="/connections/{client_id}",
        summary="One connection, explained",
        act=_explain,
        query=Nothing,
        body=Nothing,
        answer=Explained,
        refusals=(404,),
    ),
    Operation(
        name="disconnect",
        method="POST",
        path="/disconnect/{client_id}",
        summary="End the connections of a client",
        act=_disconnect,
        query=Nothing,
        body=Dismissal,
        answer=Disconnected,
        refusals=(404,),
    ),
    Operation(
        name="clean_up",
        method="DELETE",
        path="/connections",
        summary="End the connections that are stale",
        act=_clean_up,
        query=Silence,
        body=Nothing,
        answer=Removed,
    ),
)
