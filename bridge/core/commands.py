"""What a client's command does, and the one answer it gets."""

from typing import Final, assert_never

from pydantic import BaseModel, ConfigDict, ValidationError

from bridge.core.connection import Connection
from bridge.core.hub import Hub
from bridge.core.log import Log
from bridge.core.start import Found, Start
from bridge.core.view import View
from contracts.commands import Command, CommandId, Filter, List, Ping, Subscribe, Unsubscribe, parse_command
from contracts.errors import ContractError
from contracts.messages import Error, Filtered, Listed, Message, Pong, Subscribed, Unsubscribed
from contracts.positions import nanoseconds
from contracts.subscriptions import Subscription, parse_subscription

MAX_SUBSCRIPTIONS: Final = 100
"""Subscriptions of one connection."""
_NOT_ITS_FAULT: Final = "unavailable"
"""The code of refusals that do not end a connection, however many."""


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault of the bridge
    """A command that is well formed but cannot be carried out."""

    def __init__(self, code: str, reason: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.field = field


class _Marked(BaseModel):
    model_config = ConfigDict(strict=True)

    id: CommandId | None = None


def start_of(connection: Connection, text: str) -> tuple[View, Start] | None:
    """Where a message asks to look back to, and the view that it adds; None if it does not."""
    try:
        command = parse_command(text)
        if not isinstance(command, Subscribe):
            return None
        added = connection.view_of(map(parse_subscription, command.subscriptions))
    except ContractError:
        return None
    time = None if command.since_time is None else nanoseconds(command.since_time)
    if command.since is not None:
        return added, Start.at(command.since, command.epoch)
    start = Start(time_ns=time, last=command.last)
    return (added, start) if start.is_place else None


def answer(hub: Hub, connection: Connection, text: str, found: Found | None = None) -> Message:
    """Carry out one message of a client. Never raises: what is wrong with it is the answer.

    ``found``: the place that `start_of` the message turned out to be.
    """
    try:
        command = parse_command(text)
    except ContractError as error:
        return refusal(hub, connection, _code(error), error.reason, field=error.field, command=_id_of(text))
    try:
        message = _carry_out(hub, connection, command, found)
    except Refused as error:
        return refusal(hub, connection, error.code, error.reason, field=error.field, command=command.id)
    hub.counters.commands[command.action] += 1
    return message


def refusal(
    hub: Hub,
    connection: Connection,
    code: str,
    reason: str,
    *,
    field: str | None = None,
    command: CommandId | None = None,
) -> Error:
    """Count a refusal, against the connection unless the bridge is to blame, and say it."""
    connection.errors += code != _NOT_ITS_FAULT
    hub.counters.errors[code] += 1
    return Error(code=code, message=reason, field=field or None, id=command)


def _code(error: ContractError) -> str:
    match error.field:
        case "":
            return "invalid_json"
        case "action":
            return "unknown_action"
        case _:
            return "invalid_command"


def _id_of(text: str) -> CommandId | None:
    """The ``id`` of a message that is no command, if it has a good one."""
    try:
        return _Marked.model_validate_json(text).id
    except ValidationError:
        return None


def _carry_out(hub: Hub, connection: Connection, command: Command, found: Found | None) -> Message:
    match command:
        case Subscribe():
            return _subscribe(hub, connection, command, found)
        case Unsubscribe():
            return _unsubscribe(hub, connection, command)
        case Filter():
            return _filter(hub, connection, command)
        case Ping():
            return _pong(hub.log, connection, command)
        case List():
            return Listed(
                id=command.id, subscriptions=list(connection.subscriptions), filter=connection.filter
            )
        case _:
            assert_never(command)


def _pong(log: Log, connection: Connection, command: Ping) -> Pong:
    cursor = connection.resume_point(log.head)
    position = log.position(cursor)
    return Pong(
        id=command.id,
        epoch=log.anchor,
        head=log.head,
        cursor=cursor,
        position=None if position is None else str(position),
    )


def _subscribe(hub: Hub, connection: Connection, command: Subscribe, found: Found | None) -> Subscribed:
    _refuse_if_busy(connection)
    named = _named(command.subscriptions)
    place = found or Found(is_found=not _looks_back(command))
    if not place.is_found:
        raise Refused(_NOT_ITS_FAULT, "the stream does not answer; try again")
    subscriptions = connection.subscriptions | named
    if len(subscriptions) > MAX_SUBSCRIPTIONS:
        reason = f"a connection has {MAX_SUBSCRIPTIONS} at most"
        raise Refused("too_many_subscriptions", reason, "subscriptions")
    connection.subscriptions = subscriptions
    added = connection.view_of(named.values())
    recovery = hub.change_view(
        connection,
        added=added,
        since=place.since,
        epoch=place.epoch,
        chunk=place.chunk,
        is_verified=place.is_verified,
        is_owed=place.is_owed,
    )
    return Subscribed(id=command.id, subscriptions=list(subscriptions), recovery=recovery)


def _looks_back(command: Subscribe) -> bool:
    return (command.since, command.since_time, command.last) != (None, None, None)


def _named(names: list[str]) -> dict[str, Subscription]:
    """The subscriptions by their names; the first that is none is refused."""
    named: dict[str, Subscription] = {}
    for number, name in enumerate(names):
        try:
            named[name] = parse_subscription(name)
        except ContractError as error:
            raise Refused("invalid_subscription", error.reason, f"subscriptions.{number}") from error
    return named


def _unsubscribe(hub: Hub, connection: Connection, command: Unsubscribe) -> Unsubscribed:
    _refuse_if_busy(connection)
    for number, name in enumerate(command.subscriptions):
        if name not in connection.subscriptions:
            reason = "names a subscription that the connection does not have"
            raise Refused("not_subscribed", reason, f"subscriptions.{number}")
    for name in set(command.subscriptions):
        del connection.subscriptions[name]
    hub.change_view(connection)
    return Unsubscribed(id=command.id, subscriptions=list(connection.subscriptions))


def _filter(hub: Hub, connection: Connection, command: Filter) -> Filtered:
    _refuse_if_busy(connection)
    connection.filter = command.filter
    hub.change_view(connection)
    return Filtered(id=command.id, filter=command.filter)


def _refuse_if_busy(connection: Connection) -> None:
    if connection.cursor.is_busy:
        raise Refused("busy", "the connection lags behind and has changed its view too often meanwhile")
