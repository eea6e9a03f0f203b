"""A draft: an event that is mapped and has no place in its execution yet."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from pydantic_core import from_json, to_json

from bridge.crew.content import Content, Data, stub
from bridge.crew.crew_names import CrewId
from bridge.crew.identity import NOBODY, Ids, identifier
from contracts.types import EventPriority

log = logging.getLogger(__name__)

Redact = Callable[[str, Data], Data]
"""Given an event's type and its data, returns the data that may be published."""

MAX_EVENT_BYTES: Final = 256 * 1024
MIN_BYTES: Final = 4 * 1024
"""Even a stub of an event takes about a quarter of it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a worker lets out."""

    content: Content = "cut"
    redact: Redact | None = None
    max_event_bytes: int = MAX_EVENT_BYTES
    source: str = "crewai"
    """Each event's ``source``."""
    crew_id: CrewId = None
    """What crews are called; by default as their authors call them."""
    worker: str | None = None
    """Each event's ``metadata.worker``: whose pulse to look for."""


class Draft(NamedTuple):
    """An event but for its execution and its sequence."""

    event_id: str
    event_type: str
    priority: EventPriority
    data: Data
    ids: Ids = NOBODY
    parent: str | None = None
    timestamp: datetime | None = None
    """None for now."""
    crewai: dict[str, Any] | None = None
    """CrewAI's own names for it: ``type``, ``event_id``, ``emission_sequence``; then the crew's is added."""

    def named_after(self, event: Any) -> "Draft":
        """The same draft, as if ``event`` of CrewAI's had made it."""
        return self._replace(event_id=own_id(event), timestamp=event.timestamp, crewai=own_names(event))

    def encode(self, execution: str | None, policy: Policy) -> bytes:
        """The event as JSON, without its sequence; a stub of it if it is too large."""
        data = _redacted(self.event_type, self.data, policy.redact)
        body = self._body(execution, policy, data)
        if len(body) > policy.max_event_bytes:
            body = self._body(execution, policy, stub(data, len(body)))
        return body

    def _names(self) -> dict[str, Any] | None:
        if self.crewai is None or self.ids.crew_object is None:
            return self.crewai
        return {**self.crewai, "crew_id": self.ids.crew_object}

    def _body(self, execution: str | None, policy: Policy, data: Data) -> bytes:
        moment = self.timestamp or datetime.now(UTC)
        moment = moment if moment.tzinfo else moment.astimezone(UTC)
        envelope = {
            "event_id": self.event_id,
            "event_type": self.event_type,
            "timestamp": moment.isoformat(),
            "priority": self.priority.value,
            "source": policy.source,
            "crew_id": self.ids.crew,
            "execution_id": execution,
            "task_id": self.ids.task,
            "agent_id": self.ids.agent,
            "parent_id": self.parent,
            "data": data,
            "metadata": _present(crewai=self._names(), worker=policy.worker) or None,
        }
        return to_json(_present(**envelope))


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def own_id(event: Any) -> str:
    """The id that CrewAI gave an event, or one that nothing else has."""
    return identifier(event.event_id) or f"crewai-{datetime.now(UTC).timestamp()}-{id(event)}"


def own_names(event: Any) -> dict[str, Any]:
    """See `Draft.crewai`."""
    return {"type": event.type, "event_id": event.event_id, "emission_sequence": event.emission_sequence}


def _redacted(event_type: str, data: Data, redact: Redact | None) -> Data:
    """What the hook lets pass; where it fails, or returns what is no data, nothing of the texts does."""
    if redact is None:
        return data
    try:
        return dict(from_json(to_json(redact(event_type, data))))
    except Exception as error:
        log.warning("the redaction hook failed at %s: %s", event_type, type(error).__name__)
        return {
            name: "[redacted]" if isinstance(v, str) else v
            for name, v in data.items()
            if isinstance(v, (str, int))
        }
