"""Who did it: the ids of an event, from what CrewAI's event, its source and their objects say.

Instances are known by ``.id``; fingerprints change in the middle of a run, definitions have a ``.key``.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from uuid import UUID

from contracts.subjects import ABSENT

_FORBIDDEN: Final = re.compile(r"[\s.*>\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MAX_CHARS: Final = 128
_DIGEST_BYTES: Final = 8
_KINDS: Final = {"Crew": "crew", "Task": "task", "BaseAgent": "agent", "LiteAgent": "agent"}
_SAYING: Final = ("task", "task_id", "agent", "agent_id", "agent_info")
"""The names by which an event can say whom it is about."""
_NAMES: Final = frozenset({str, UUID})
"""What most ids are. They have no code of an application's own, so what was made of them can be kept."""
_REMEMBERED: Final = 2_048


class Ids(NamedTuple):
    """Whom an event is about; None where nobody knows."""

    crew: str | None = None
    task: str | None = None
    agent: str | None = None
    crew_object: str | None = None
    """The id of the one crew of that name that it is."""

    def within(self, outer: "Ids") -> "Ids":
        """What is not known here is as it is around."""
        crew, crew_object = (self.crew, self.crew_object) if self.crew else (outer.crew, outer.crew_object)
        return Ids(crew, self.task or outer.task, self.agent or outer.agent, crew_object)


NOBODY: Final = Ids()
NameOf = Callable[[Any], tuple[str | None, str | None]]
"""The name of a crew, and the id of the object; of nothing both are None."""


def identifier(value: object) -> str | None:
    """``value`` as an id that a subject can hold: what is forbidden becomes ``-``; None if nothing is left.

    An id above 128 characters is cut and ends in a digest, so that two long ones stay two.
    """
    if value is None:
        return None
    return _identifier(value) if type(value) in _NAMES else _identifier(str(value))


@lru_cache(_REMEMBERED)
def _identifier(value: str | UUID) -> str | None:
    """The same crew, task, agent and execution is named by every event of a run."""
    text = _FORBIDDEN.sub("-", str(value))
    if len(text) > _MAX_CHARS:
        digest = blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
        text = f"{text[: _MAX_CHARS - len(digest) - 1]}-{digest}"
    return None if text in {"", ABSENT} else text


def attribute(whole: Any, name: str) -> Any:
    """An attribute, or None: of an application's own class reading one may raise anything."""
    try:
        return getattr(whole, name, None)
    except Exception:
        return None


def ids_of(source: Any, event: Any, name_of: NameOf) -> Ids:
    """The ids that an event names itself, or that the objects it holds have."""
    of: Any = type(source)
    kind = _kind(of)
    of = type(event)
    said = {name: attribute(event, name) for name in _said(of)}
    task = _object(said.get("task")) or (source if kind == "task" else None)
    agent = _object(said.get("agent")) or _part(task, "agent") or (source if kind == "agent" else None)
    crew, crew_object = name_of(source if kind == "crew" else _part(agent, "crew"))
    return Ids(
        crew=crew,
        crew_object=crew_object,
        task=identifier(said.get("task_id") or _id(task)),
        agent=identifier(said.get("agent_id") or _id(agent) or _info_id(said.get("agent_info"))),
    )


@lru_cache(_REMEMBERED)
def _said(of: Any) -> tuple[str, ...]:
    """What events of a class can say: asking a pydantic model for what it has not takes microseconds."""
    fields = getattr(of, "__pydantic_fields__", None)
    if fields is None or of.model_config.get("extra") == "allow":
        return _SAYING
    return tuple(name for name in _SAYING if name in fields or hasattr(of, name))


@lru_cache(_REMEMBERED)
def _kind(of: Any) -> str | None:
    """What a source is, by its class's name or a base's: CrewAI is not imported here, and users subclass."""
    for base in of.__mro__:
        if base.__name__ in _KINDS:
            return _KINDS[base.__name__]
    return None


def is_internal(flow: Any) -> bool:
    """Whether a flow is machinery of CrewAI's: how an agent works, or a memory is searched.

    An author can silence a flow of his own as well, so what it says of its events tells nothing.
    """
    said = getattr(type(flow), "is_crewai_internal", None)
    if said is not None:
        return said is True
    is_of_crewai = type(flow).__module__.startswith("crewai.")
    return is_of_crewai and getattr(flow, "suppress_flow_events", False) is True


def _object(value: Any) -> Any:
    """What may have ids: a text is only a name."""
    return None if isinstance(value, str) else value


def _part(whole: Any, name: str) -> Any:
    return None if whole is None else _object(attribute(whole, name))


def _id(whole: Any) -> Any:
    return None if whole is None else getattr(whole, "id", None)


def _info_id(info: Any) -> Any:
    """Agents without a crew say who they are in a dictionary."""
    return info.get("id") if isinstance(info, dict) else None
