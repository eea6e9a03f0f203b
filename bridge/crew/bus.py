"""CrewAI's event bus, and how events get from it to the tap. Imports CrewAI: for installations only."""

from collections.abc import Callable
from typing import Any, Final

from crewai.events.event_bus import crewai_event_bus
from crewai.events.event_context import SCOPE_STARTING_EVENTS, VALID_EVENT_PAIRS

from bridge.crew.crew_names import CrewId, CrewNames
from bridge.crew.ledger import Grammar, Ledger
from bridge.crew.listener import CrewBridgeListener

try:
    from crewai.execution import get_execution_uuid
except ImportError:  # Before 1.15.16 CrewAI did not know the outermost run.
    get_execution_uuid = None

Record = Callable[[Any, Any], None]
Detach = Callable[[], None]

_NAMES: Final = ("emit", "aemit")


def ledger(crew_id: CrewId = None) -> Ledger:
    """A ledger that knows which events open scopes, and how to ask for the outermost run."""
    grammar = Grammar(SCOPE_STARTING_EVENTS, VALID_EVENT_PAIRS)
    return Ledger(get_execution_uuid, grammar, CrewNames(crew_id))


def wrap(record: Record) -> Detach:
    """Wrap the bus's ``emit`` and ``aemit``: the order is the emitting threads', and no class is missed.

    The function that is returned takes the wrapping off. Where somebody has wrapped them again, ours stays
    inside and does nothing more.
    """
    emit, aemit = crewai_event_bus.emit, crewai_event_bus.aemit
    recording = [record]

    def recording_emit(source: Any, event: Any) -> Any:
        try:
            return emit(source, event)
        finally:
            for note in recording:
                note(source, event)

    async def recording_aemit(source: Any, event: Any) -> Any:
        try:
            return await aemit(source, event)
        finally:
            for note in recording:
                note(source, event)

    wrappers = (recording_emit, recording_aemit)
    for name, wrapper in zip(_NAMES, wrappers, strict=True):
        setattr(crewai_event_bus, name, wrapper)

    def unwrap() -> None:
        recording.clear()
        for name, wrapper in zip(_NAMES, wrappers, strict=True):
            if vars(crewai_event_bus).get(name) is wrapper:
                delattr(crewai_event_bus, name)

    return unwrap


def listen(record: Record) -> Detach:
    """Register a listener for every class that there is."""
    return CrewBridgeListener(record).close
