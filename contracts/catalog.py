"""Which payload belongs to which event type, and how applications add types of their own.

``BUILTIN`` is read off the payload classes: ``TaskCompleted`` is the payload of ``task.completed``.
"""

from typing import Final

from contracts.errors import ContractError
from contracts.payloads import activity, integrations, state, work
from contracts.payloads.base import OpenPayload, Payload
from contracts.subjects import Subject
from contracts.types import CUSTOM_FAMILY, EventType, family_of


def _class_name(event_type: str) -> str:
    return "".join(word.capitalize() for word in event_type.replace(".", "_").split("_"))


def _builtin(event_type: EventType) -> type[Payload]:
    name = _class_name(event_type)
    module = next(module for module in (work, state, activity, integrations) if hasattr(module, name))
    payload: type[Payload] = getattr(module, name)
    return payload


BUILTIN: Final[dict[str, type[Payload]]] = {str(event_type): _builtin(event_type) for event_type in EventType}

_registered: Final[dict[str, type[Payload]]] = {}
_open_families: Final[set[str]] = {CUSTOM_FAMILY}


def register(event_type: str, payload: type[Payload]) -> None:
    """Give a type of your own, ``invoice.paid`` say, a typed payload, in this process.

    A built-in type cannot be replaced, and a malformed name is refused, both with `ContractError`.
    """
    Subject.build(event_type)
    if event_type in BUILTIN:
        raise ContractError("event_type", "is built in")
    _registered[event_type] = payload


def open_family(family: str) -> None:
    """Accept every type of a family (``invoice`` for ``invoice.*``), with any object as its payload."""
    Subject.build(f"{family}.any")
    _open_families.add(family)


def families() -> frozenset[str]:
    """Every family that has types: built in, registered or opened."""
    return frozenset(map(family_of, (*BUILTIN, *_registered))) | _open_families


def payload_for(event_type: str) -> type[Payload]:
    """The payload model of a type; one that nobody declared raises `ContractError`."""
    payload = BUILTIN.get(event_type) or _registered.get(event_type)
    if payload is not None:
        return payload
    if family_of(event_type) in _open_families:
        return OpenPayload
    raise ContractError("event_type", "is not a known event type")
