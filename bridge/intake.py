"""From the feed to the hub: what the stream holds becomes entries of the log."""

from collections.abc import Callable

import structlog

from bridge.core.entry import Entry
from bridge.core.hub import Hub
from contracts.codec import StoredMessage, decode
from contracts.errors import ContractError
from contracts.events import WebSocketEvent
from contracts.messages import GapReason

log = structlog.get_logger(__name__)

_FIELDS = {*WebSocketEvent.model_fields, "subject"}


class Intake:
    """The feed's sink. Never raises: a message that is no event is counted and passed over.

    ``count`` is told of every event.
    """

    def __init__(self, hub: Hub, count: Callable[[WebSocketEvent], None]) -> None:
        self._hub = hub
        self._count = count

    def begin(self, epoch: str, floor: int) -> None:
        """A stream, at the start or made anew."""
        self._hub.reset(epoch, floor)

    def message(self, message: StoredMessage) -> None:
        """One message of the stream."""
        try:
            decoded = decode(message, self._hub.log.epoch)
            entry = Entry.of_event(decoded, message.seq)
            self._count(decoded.event)
        except ContractError as error:
            field = _closed(error.field)
            self._hub.reject(message.seq, field)
            log.debug("not an event", subject=message.subject, seq=message.seq, field=field)
            return
        except Exception:
            self._hub.reject(message.seq, "internal")
            log.exception("event not readable", subject=message.subject, seq=message.seq)
            return
        self._hub.publish(entry)

    def gap(self, first: int, last: int, reason: GapReason) -> None:
        """Events that will never come."""
        log.warning("events lost to retention", first=first, last=last)
        self._hub.announce_gap(first, last, reason)


def _closed(field: str) -> str:
    """The field's name for a metric: the publisher's own names must not become labels."""
    name = field.partition(".")[0]
    if not name:
        return "json"
    return name if name in _FIELDS else "unknown_key"
