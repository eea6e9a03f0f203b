"""One call an event: ``create_task_event(task_id="t1", status="completed", result="...")``.

``status`` is the type's second token. Keywords that name a field of the envelope (``crew_id``,
``execution_id``, ``priority``, ``metadata``, ...) go there; every other keyword is data. What the type
does not allow raises `ContractError`, which names the field.
"""

from collections.abc import Mapping
from typing import Any, Final

from contracts.events import WebSocketEvent

_ENVELOPE: Final = frozenset(WebSocketEvent.model_fields) - {"event_type", "data", "seq"}


def create_event(event_type: str, /, data: Mapping[str, Any] | None = None, **fields: Any) -> WebSocketEvent:
    """An event of any type; ``data`` holds what a keyword cannot name."""
    envelope = {name: value for name, value in fields.items() if name in _ENVELOPE}
    keywords = {name: value for name, value in fields.items() if name not in _ENVELOPE}
    return WebSocketEvent.create(event_type, {**(data or {}), **keywords}, **envelope)


def create_execution_event(execution_id: str, status: str, **fields: Any) -> WebSocketEvent:
    """``started``, ``completed``, ``failed`` or ``progress`` of an execution."""
    return create_event(f"execution.{status}", execution_id=execution_id, **fields)


def create_task_event(task_id: str, status: str, **fields: Any) -> WebSocketEvent:
    """``assigned``, ``completed``, ``failed`` or ``progress`` of a task."""
    return create_event(f"task.{status}", task_id=task_id, **fields)


def create_manager_event(agent_id: str | None, status: str, **fields: Any) -> WebSocketEvent:
    """``delegation_started``, ``coordination_update`` or ``decision_made`` by the manager ``agent_id``."""
    return create_event(f"manager.{status}", agent_id=agent_id, **fields)


def create_queue_event(queue: str, status: str, **fields: Any) -> WebSocketEvent:
    """``task_added``, ``task_processed``, ``task_failed`` or ``cleared`` of a queue."""
    return create_event(f"queue.{status}", queue=queue, **fields)


def create_memory_event(memory_type: str, status: str, **fields: Any) -> WebSocketEvent:
    """``stored``, ``retrieved``, ``updated`` or ``cleared`` of a memory."""
    return create_event(f"memory.{status}", memory_type=memory_type, **fields)


def create_system_event(
    component: str, status: str, *, data: Mapping[str, Any] | None = None, **fields: Any
) -> WebSocketEvent:
    """``startup``, ``shutdown``, ``error`` or ``health_check`` of a component (``ok`` if nothing is said)."""
    if status == "health_check":
        data = {"status": "ok", **(data or {})}
    return create_event(f"system.{status}", data, component=component, **fields)


def create_connection_event(
    client_id: str, status: str, *, data: Mapping[str, Any] | None = None, **fields: Any
) -> WebSocketEvent:
    """``established``, ``lost`` or ``heartbeat`` of a client, whose id is data: it is not the addressee."""
    return create_event(f"connection.{status}", {**(data or {}), "client_id": client_id}, **fields)


def create_crew_event(crew_id: str, status: str, **fields: Any) -> WebSocketEvent:
    """``created``, ``updated`` or ``deleted`` of a crew."""
    return create_event(f"crew.{status}", crew_id=crew_id, **fields)


def create_agent_event(agent_id: str, status: str, **fields: Any) -> WebSocketEvent:
    """``created``, ``updated``, ``deleted``, ``started``, ``completed``, ``failed``, ``step`` of an agent."""
    return create_event(f"agent.{status}", agent_id=agent_id, **fields)
