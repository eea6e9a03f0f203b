"""From the feed to the hub: what the stream holds becomes entries of the log."""

from collections.abc import Callable

import structlog

from bridge.core.entry import Entry
from bridge.core.hub import Hub
from contracts.codec import StoredMessage, decode
from contracts.errors import ContractError
from contracts.events import WebSocketEvent
from contracts.messages import GapReason
from contracts.positions import StreamPosition

log = structlog.get_logger(__name__)

_MOST_SHOWN = 200
_FIELDS = {*WebSocketEvent.model_fields, "subject"}


def entry_of(
    message: StoredMessage, epoch: str, count: Callable[[WebSocketEvent], None] | None = None
) -> Entry | str:
    """The entry that a stored message makes, live or read again; if it is no event, its first bad field.

    ``count`` is told of the event. Never raises: what goes wrong in here is logged, as field ``internal``.
    """
    try:
        decoded = decode(message, epoch.partition("-")[0])
        if count is not None:
            count(decoded.event)
        return Entry.of_event(decoded, message.seq)
    except ContractError as error:
        field = _closed(error.field)
        log.debug("not an event", subject=message.subject, seq=message.seq, field=field, why=_shown(error))
        return field
    except Exception:
        log.exception("event not readable", subject=message.subject, seq=message.seq)
        return "internal"


class Intake:
    """The feed's sink. Never raises: a message that is no event is counted and passed over.

    ``count`` is told of every event.
    """

    def __init__(self, hub: Hub, count: Callable[[WebSocketEvent], None]) -> None:
        self._hub = hub
        self._count = count

    def begin(self, epoch: str, floor: int, end: StreamPosition, looked_ns: int) -> None:
        """A stream, at the start or made anew."""
        self._hub.reset(epoch, floor, end, looked_ns)

    def resume(self, looked_ns: int) -> None:
        """The same stream, as far as it was read."""
        self._hub.log.looked_ns = max(self._hub.log.looked_ns, looked_ns)

    def message(self, message: StoredMessage) -> None:
        """One message of the stream."""
        entry = entry_of(message, self._hub.log.epoch, self._count)
        if isinstance(entry, Entry):
            self._hub.publish(entry)
        else:
            self._hub.reject(message.seq, entry, message.stored_ns)

    def skip(self, last: int, stored_ns: int = 0) -> None:
        """Nothing more is to come up to ``last``, which is no event."""
        self._hub.log.skip(last, stored_ns)

    def gap(self, first: int, last: int, reason: GapReason) -> None:
        """Events that will never come."""
        log.warning("events lost to retention", first=first, last=last)
        self._hub.announce_gap(first, last, reason)


def _shown(error: ContractError) -> str:
    """For people, who know their own names; in one line, whatever a publisher made of those."""
    return ascii(str(error)[:_MOST_SHOWN])[1:-1]


def _closed(field: str) -> str:
    """The field's name for a metric: the publisher's own names must not become labels."""
    name = field.partition(".")[0]
    if not name:
        return "json"
    return name if name in _FIELDS else "unknown_key"
