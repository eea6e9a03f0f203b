"""What travels between crews, the bridge and browsers: events, subjects, commands and messages."""

from contracts.catalog import open_family, payload_for, register
from contracts.codec import parse_server_message
from contracts.commands import Command, parse_command
from contracts.errors import ContractError
from contracts.events import WebSocketEvent
from contracts.factories import (
    create_agent_event,
    create_connection_event,
    create_crew_event,
    create_event,
    create_execution_event,
    create_manager_event,
    create_memory_event,
    create_queue_event,
    create_system_event,
    create_task_event,
)
from contracts.filters import EventFilter
from contracts.messages import Message
from contracts.payloads.base import OpenPayload, Payload
from contracts.subjects import Pattern, Subject
from contracts.types import EventPriority, EventType

__all__ = [
    "Command",
    "ContractError",
    "EventFilter",
    "EventPriority",
    "EventType",
    "Message",
    "OpenPayload",
    "Pattern",
    "Payload",
    "Subject",
    "WebSocketEvent",
    "create_agent_event",
    "create_connection_event",
    "create_crew_event",
    "create_event",
    "create_execution_event",
    "create_manager_event",
    "create_memory_event",
    "create_queue_event",
    "create_system_event",
    "create_task_event",
    "open_family",
    "parse_command",
    "parse_server_message",
    "payload_for",
    "register",
]
