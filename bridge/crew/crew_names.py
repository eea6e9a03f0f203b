"""Names of crews: what events are about when a crew is, in the place of the random id of one object."""

import logging
from collections.abc import Callable
from typing import Any, Final

from bridge.crew.identity import attribute, identifier

log = logging.getLogger(__name__)

CrewId = str | Callable[[Any], object] | None
"""A name for all crews, or a function that names a crew; None where it has nothing to say."""

UNNAMED: Final = "crew"
"""What CrewAI calls a crew whose author has not named it."""
_MAX_CREWS: Final = 10_000


class CrewNames:
    """The name of each crew: what the author chose, else CrewAI's key, which is of its agents and tasks."""

    def __init__(self, chosen: CrewId = None) -> None:
        self._chosen = chosen
        self._known: dict[str, str] = {}

    def of(self, crew: Any) -> tuple[str | None, str | None]:
        """The name of a crew, and the id of the object."""
        own = None if crew is None else identifier(attribute(crew, "id"))
        if own is None:
            return None, None
        name = self._known.get(own)
        if name is None:
            name = self._known[own] = self._name(crew) or own
            if len(self._known) > _MAX_CREWS:
                del self._known[next(iter(self._known))]
        return name, own

    def _name(self, crew: Any) -> str | None:
        chosen = self._chosen if isinstance(self._chosen, str) else self._asked(crew)
        name = attribute(crew, "name")
        authors = None if name == UNNAMED else identifier(name)
        return identifier(chosen) or authors or identifier(attribute(crew, "key"))

    def _asked(self, crew: Any) -> object:
        if not callable(self._chosen):
            return None
        try:
            return self._chosen(crew)
        except Exception as error:
            log.warning("the function crew_id failed: %s", type(error).__name__)
            return None
