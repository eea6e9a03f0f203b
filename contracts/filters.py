"""A filter narrows what is subscribed."""

from typing import Protocol

from pydantic import BaseModel, ConfigDict, field_validator

from contracts.catalog import families, payload_for
from contracts.errors import ContractError
from contracts.subjects import ANY, Id, Subject
from contracts.types import EventPriority, family_of


class Filterable(Protocol):
    """What a filter looks at; a `contracts.WebSocketEvent` has it."""

    @property
    def event_type(self) -> str: ...
    @property
    def priority(self) -> EventPriority: ...
    @property
    def agent_id(self) -> str | None: ...
    @property
    def task_id(self) -> str | None: ...


def _whole(name: str) -> str:
    """The family of a type, as a filter names it: ``task.*``."""
    return f"{family_of(name)}.{ANY}"


def _exists(name: str) -> bool:
    """Whether ``name`` is a known type, or ``<family>.*`` of a known family."""
    family, _, action = name.partition(".")
    if action == ANY:
        return family in families()
    try:
        payload_for(Subject.build(name).event_type)
    except ContractError:
        return False
    return True


class EventFilter(BaseModel):
    """Conditions that all must hold; an absent one always holds. Hashable, equal if it means the same.

    ``types`` are type names or whole families (``task.*``); ``agents`` and ``tasks`` are ids.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    types: frozenset[str] | None = None
    min_priority: EventPriority | None = None
    agents: frozenset[Id] | None = None
    tasks: frozenset[Id] | None = None

    @field_validator("types")
    @classmethod
    def _type_names(cls, value: frozenset[str] | None) -> frozenset[str] | None:
        if value is None:
            return None
        if not all(map(_exists, value)):
            raise ValueError("names an event type or family that does not exist")
        return frozenset(name for name in value if name == _whole(name) or _whole(name) not in value)

    @field_validator("min_priority")
    @classmethod
    def _lowest_is_none(cls, value: EventPriority | None) -> EventPriority | None:
        return None if value is EventPriority.LOW else value

    def matches(self, event: Filterable) -> bool:
        """Whether every condition holds for ``event``."""
        return (
            (self.types is None or self.wants_type(event.event_type))
            and (self.min_priority is None or event.priority.rank >= self.min_priority.rank)
            and (self.agents is None or event.agent_id in self.agents)
            and (self.tasks is None or event.task_id in self.tasks)
        )

    def wants_type(self, event_type: str) -> bool:
        """Whether events of this type can pass."""
        if self.types is None:
            return True
        return event_type in self.types or _whole(event_type) in self.types
