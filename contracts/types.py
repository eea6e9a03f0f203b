"""The names of the events: families, types, priorities, and how long the stream keeps them."""

from enum import StrEnum
from functools import lru_cache
from typing import Final


class EventPriority(StrEnum):
    """How much an event matters; compare by ``rank``, for as strings ``critical`` < ``low``."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for low to 3 for critical."""
        return _RANKS[self]


_RANKS: Final = {priority: rank for rank, priority in enumerate(EventPriority)}


class EventType(StrEnum):
    """Every type that the bridge knows by itself: the 32 of nine core families, and what real crews add."""

    EXECUTION_STARTED = "execution.started"
    EXECUTION_COMPLETED = "execution.completed"
    EXECUTION_FAILED = "execution.failed"
    EXECUTION_PROGRESS = "execution.progress"

    TASK_ASSIGNED = "task.assigned"
    TASK_COMPLETED = "task.completed"
    TASK_FAILED = "task.failed"
    TASK_PROGRESS = "task.progress"

    MANAGER_DELEGATION_STARTED = "manager.delegation_started"
    MANAGER_COORDINATION_UPDATE = "manager.coordination_update"
    MANAGER_DECISION_MADE = "manager.decision_made"

    QUEUE_TASK_ADDED = "queue.task_added"
    QUEUE_TASK_PROCESSED = "queue.task_processed"
    QUEUE_TASK_FAILED = "queue.task_failed"
    QUEUE_CLEARED = "queue.cleared"

    MEMORY_STORED = "memory.stored"
    MEMORY_RETRIEVED = "memory.retrieved"
    MEMORY_UPDATED = "memory.updated"
    MEMORY_CLEARED = "memory.cleared"

    SYSTEM_STARTUP = "system.startup"
    SYSTEM_SHUTDOWN = "system.shutdown"
    SYSTEM_ERROR = "system.error"
    SYSTEM_HEALTH_CHECK = "system.health_check"
    SYSTEM_ADMIN_ACTION = "system.admin_action"

    CONNECTION_ESTABLISHED = "connection.established"
    CONNECTION_LOST = "connection.lost"
    CONNECTION_HEARTBEAT = "connection.heartbeat"

    CREW_CREATED = "crew.created"
    CREW_UPDATED = "crew.updated"
    CREW_DELETED = "crew.deleted"

    CREW_STARTED = "crew.started"
    CREW_COMPLETED = "crew.completed"
    CREW_FAILED = "crew.failed"

    AGENT_CREATED = "agent.created"
    AGENT_UPDATED = "agent.updated"
    AGENT_DELETED = "agent.deleted"

    AGENT_STARTED = "agent.started"
    AGENT_COMPLETED = "agent.completed"
    AGENT_FAILED = "agent.failed"
    AGENT_STEP = "agent.step"

    LLM_CALL_STARTED = "llm.call_started"
    LLM_CALL_COMPLETED = "llm.call_completed"
    LLM_CALL_FAILED = "llm.call_failed"
    LLM_CHUNK = "llm.chunk"

    TOOL_STARTED = "tool.started"
    TOOL_FINISHED = "tool.finished"
    TOOL_FAILED = "tool.failed"

    FLOW_STARTED = "flow.started"
    FLOW_COMPLETED = "flow.completed"
    FLOW_FAILED = "flow.failed"
    FLOW_PAUSED = "flow.paused"
    FLOW_METHOD_STARTED = "flow.method_started"
    FLOW_METHOD_COMPLETED = "flow.method_completed"
    FLOW_METHOD_FAILED = "flow.method_failed"

    HUMAN_INPUT_REQUESTED = "human.input_requested"
    HUMAN_INPUT_RECEIVED = "human.input_received"

    GUARDRAIL_STARTED = "guardrail.started"
    GUARDRAIL_PASSED = "guardrail.passed"
    GUARDRAIL_FAILED = "guardrail.failed"

    KNOWLEDGE_QUERY_STARTED = "knowledge.query_started"
    KNOWLEDGE_QUERY_COMPLETED = "knowledge.query_completed"
    KNOWLEDGE_QUERY_FAILED = "knowledge.query_failed"
    KNOWLEDGE_SEARCH_STARTED = "knowledge.search_started"
    KNOWLEDGE_SEARCH_COMPLETED = "knowledge.search_completed"
    KNOWLEDGE_SEARCH_FAILED = "knowledge.search_failed"

    PLAN_STARTED = "plan.started"
    PLAN_COMPLETED = "plan.completed"
    PLAN_FAILED = "plan.failed"
    PLAN_STEP_STARTED = "plan.step_started"
    PLAN_STEP_COMPLETED = "plan.step_completed"
    PLAN_OBSERVATION_STARTED = "plan.observation_started"
    PLAN_OBSERVATION_COMPLETED = "plan.observation_completed"
    PLAN_OBSERVATION_FAILED = "plan.observation_failed"
    PLAN_REFINED = "plan.refined"
    PLAN_REPLACED = "plan.replaced"
    PLAN_GOAL_ACHIEVED = "plan.goal_achieved"

    MCP_CONNECTION_STARTED = "mcp.connection_started"
    MCP_CONNECTION_COMPLETED = "mcp.connection_completed"
    MCP_CONNECTION_FAILED = "mcp.connection_failed"
    MCP_TOOL_STARTED = "mcp.tool_started"
    MCP_TOOL_FINISHED = "mcp.tool_finished"
    MCP_TOOL_FAILED = "mcp.tool_failed"
    MCP_CONFIG_FAILED = "mcp.config_failed"

    A2A_DELEGATION_STARTED = "a2a.delegation_started"
    A2A_DELEGATION_COMPLETED = "a2a.delegation_completed"
    A2A_CONVERSATION_STARTED = "a2a.conversation_started"
    A2A_CONVERSATION_COMPLETED = "a2a.conversation_completed"
    A2A_MESSAGE_SENT = "a2a.message_sent"
    A2A_RESPONSE_RECEIVED = "a2a.response_received"
    A2A_TASK_STARTED = "a2a.task_started"
    A2A_TASK_COMPLETED = "a2a.task_completed"
    A2A_TASK_FAILED = "a2a.task_failed"
    A2A_TASK_CANCELED = "a2a.task_canceled"
    A2A_CONNECTION_FAILED = "a2a.connection_failed"

    @property
    def family(self) -> str:
        """The first token: ``task`` of ``task.completed``."""
        return family_of(self)


CUSTOM_FAMILY: Final = "custom"
_REMEMBERED: Final = 1_024
"""Types of which is kept what they mean; publishers may invent any number."""


def family_of(event_type: str) -> str:
    """The first token of a type's name."""
    return event_type.partition(".")[0]


FAMILIES: Final = (*dict.fromkeys(event_type.family for event_type in EventType), CUSTOM_FAMILY)
"""Every built-in family, in the order of the types."""


@lru_cache(_REMEMBERED)
def default_priority(event_type: str) -> EventPriority:
    """What an event of this type counts as when its publisher does not say."""
    if event_type == EventType.SYSTEM_ERROR:
        return EventPriority.CRITICAL
    action = event_type.rpartition(".")[2]
    if action == "failed" or action.endswith("_failed"):
        return EventPriority.HIGH
    if is_short_lived(event_type):
        return EventPriority.LOW
    return EventPriority.NORMAL


SHORT_LIFE_SECONDS: Final = 300
"""How long the stream keeps short-lived events."""


@lru_cache(_REMEMBERED)
def is_short_lived(event_type: str) -> bool:
    """Whether the stream should keep the event for minutes only (a per-message TTL).

    True of what comes often and means nothing later: chunks, progress, connection and health events.
    They must not push lifecycle events out of a stream that is bounded in bytes.
    """
    return (
        event_type in {EventType.LLM_CHUNK, EventType.SYSTEM_HEALTH_CHECK}
        or event_type.endswith(".progress")
        or family_of(event_type) == "connection"
    )
