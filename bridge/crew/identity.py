"""Who did it: the ids of an event, from what CrewAI's event, its source and their objects say.

Instances are known by ``.id``; fingerprints change in the middle of a run, definitions have a ``.key``.
"""

import re
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from contracts.subjects import ABSENT

_FORBIDDEN: Final = re.compile(r"[\s.*>\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MAX_CHARS: Final = 128
_DIGEST_BYTES: Final = 8
_KINDS: Final = {"Crew": "crew", "Task": "task", "BaseAgent": "agent", "LiteAgent": "agent"}


class Ids(NamedTuple):
    """Whom an event is about; None where nobody knows."""

    crew: str | None = None
    task: str | None = None
    agent: str | None = None

    def within(self, outer: "Ids") -> "Ids":
        """What is not known here is as it is around."""
        return Ids(self.crew or outer.crew, self.task or outer.task, self.agent or outer.agent)


NOBODY: Final = Ids()


def identifier(value: object) -> str | None:
    """``value`` as an id that a subject can hold: what is forbidden becomes ``-``; None if nothing is left.

    An id above 128 characters is cut and ends in a digest, so that two long ones stay two.
    """
    if value is None:
        return None
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


def ids_of(source: Any, event: Any) -> Ids:
    """The ids that an event names itself, or that the objects it holds have."""
    kind = _kind(type(source))
    task = _object(event, "task") or (source if kind == "task" else None)
    agent = _object(event, "agent") or _object(task, "agent") or (source if kind == "agent" else None)
    crew = source if kind == "crew" else _object(agent, "crew")
    return Ids(
        crew=identifier(getattr(crew, "id", None)),
        task=identifier(attribute(event, "task_id") or getattr(task, "id", None)),
        agent=identifier(attribute(event, "agent_id") or getattr(agent, "id", None) or _info_id(event)),
    )


def _kind(source: type[Any]) -> str | None:
    """What a source is, by its class's name or a base's: CrewAI is not imported here, and users subclass."""
    for base in source.__mro__:
        if base.__name__ in _KINDS:
            return _KINDS[base.__name__]
    return None


def _object(whole: Any, name: str) -> Any:
    """An attribute that may not be there; where it is a text it is no object that has ids."""
    part = attribute(whole, name)
    return None if isinstance(part, str) else part


def _info_id(event: Any) -> Any:
    """Agents without a crew say who they are in a dictionary."""
    info = attribute(event, "agent_info")
    return info.get("id") if isinstance(info, dict) else None
