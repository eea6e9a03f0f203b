"""The listener: for who refuses wrapping, an ordinary CrewAI event listener.

CrewAI calls it on a pool of threads: events of one run may overtake each other, chunks above all, and classes
that are defined after it was made are not seen.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

import crewai.events.event_types  # noqa: F401  # Defines the classes that nobody has imported yet.
from crewai.events import BaseEventListener
from crewai.events.base_events import BaseEvent

_DEFINED_LATE: Final = ("crewai.skills.events", "crewai.experimental.skills.events")
"""Modules with classes that CrewAI imports when it needs them; which there is depends on its version."""


class CrewBridgeListener(BaseEventListener):  # type: ignore[misc]  # CrewAI is not there when types are checked.
    """Hands every event of every class to ``record``."""

    def __init__(self, record: Callable[[Any, Any], None]) -> None:
        self._record = record
        self._bus: Any = None
        super().__init__()

    def setup_listeners(self, crewai_event_bus: Any) -> None:
        """Register for all classes that there are by now."""
        self._bus = crewai_event_bus
        for module in _DEFINED_LATE:
            with suppress(ImportError):
                import_module(module)
        for kind in set(_classes(BaseEvent)):
            crewai_event_bus.register_handler(kind, self._handle)

    def close(self) -> None:
        """Hear nothing more."""
        for kind in set(_classes(BaseEvent)):
            self._bus.off(kind, self._handle)

    def _handle(self, source: Any, event: Any) -> None:
        self._record(source, event)


def _classes(base: type[Any]) -> Iterator[type[Any]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _classes(kind)
