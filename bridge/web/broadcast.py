"""The operations that send an event to many: to everyone, or to who has a subscription."""

from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.web.errors import refuse
from bridge.web.manager import CONNECTIONS
from bridge.web.operation import Nothing, Operation
from contracts.errors import ContractError
from contracts.events import EventId, WebSocketEvent
from contracts.operations import Broadcast
from contracts.subscriptions import parse_subscription
from contracts.types import EventPriority


class Announcement(BaseModel):
    """What is to be said."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    event_type: Annotated[str, Field(max_length=129)]
    """Any type that there is; ``custom.*`` is free."""
    data: dict[str, Any] = Field(default_factory=dict)
    """The payload that the type asks for."""
    priority: EventPriority | None = None
    """By default the type's."""
    event_id: EventId | None = None
    """Sent again with the same id, it is the same event: for who got no answer."""

    @property
    def event(self) -> WebSocketEvent:
        """The event. What its type does not allow raises `ContractError`."""
        envelope = {"priority": self.priority, "event_id": self.event_id}
        given = {name: value for name, value in envelope.items() if value is not None}
        return WebSocketEvent.create(self.event_type, self.data, source="crew-bridge", **given)


async def _to_everyone(request: web.Request, _: Nothing, announcement: Announcement) -> Broadcast:
    return await _broadcast(request, announcement, None)


async def _to_subscribers(request: web.Request, _: Nothing, announcement: Announcement) -> Broadcast:
    name = request.match_info["subscription"]
    try:
        parse_subscription(name)
    except ContractError as error:
        raise refuse(422, "invalid_subscription", error.reason, "subscription") from None
    return await _broadcast(request, announcement, name)


async def _broadcast(request: web.Request, announcement: Announcement, subscription: str | None) -> Broadcast:
    try:
        return await request.app[CONNECTIONS].broadcast_event(announcement.event, subscription)
    except OSError as error:
        reason = f"the stream did not take it, or did not say so: {error}"
        raise refuse(503, "stream_unavailable", reason, Retry_After="1") from None


OPERATIONS: Final = (
    Operation(
        name="broadcast",
        method="POST",
        path="/broadcast",
        summary="Send an event to everyone, whatever they are subscribed to",
        act=_to_everyone,
        query=Nothing,
        body=Announcement,
        answer=Broadcast,
        refusals=(503,),
    ),
    Operation(
        name="broadcast_to_subscription",
        method="POST",
        path="/broadcast/{subscription}",
        summary="Send an event to who has this subscription, or one that covers it",
        act=_to_subscribers,
        query=Nothing,
        body=Announcement,
        answer=Broadcast,
        refusals=(503,),
    ),
)
