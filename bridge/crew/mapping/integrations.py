"""Rows for plans, MCP servers and remote agents."""

from typing import Final

from bridge.crew.mapping.fields import (
    FAILURE,
    answer,
    arguments,
    count,
    elapsed,
    flag,
    label,
    number,
    outcome,
)
from bridge.crew.mapping.row import Row

_STEP: Final = {"step": count("step_number"), "description": answer("step_description")}
_ROLE: Final = {"role": label("agent_role"), "attempt": count("attempt")}
_SERVER: Final = {"server": label("server_name"), "transport": label("transport_type")}
_REMOTE: Final = {
    "to_agent": label("a2a_agent_name"),
    "turn": count("turn_number"),
    "status": label("status"),
}
_ENDPOINT: Final = {"endpoint": label("endpoint"), **_REMOTE}
_STATE: Final = {"state": label("state"), **_REMOTE}
_CONTEXT: Final = {"context": label("context_id"), **_REMOTE}

PLANS: Final = {
    "agent_reasoning_started": Row("plan.started", **_ROLE),
    "agent_reasoning_completed": Row(
        "plan.completed", plan=outcome("plan"), ready=flag("ready"), duration_ms=elapsed, **_ROLE
    ),
    "agent_reasoning_failed": Row("plan.failed", **_ROLE, **FAILURE),
    "plan_step_started": Row("plan.step_started", tool=label("tool_to_use"), **_STEP),
    "plan_step_completed": Row(
        "plan.step_completed",
        success=flag("success"),
        result=outcome("result"),
        error=label("error"),
        **_STEP,
    ),
    "step_observation_started": Row("plan.observation_started", **_STEP),
    "step_observation_completed": Row(
        "plan.observation_completed",
        success=flag("step_completed_successfully"),
        learned=answer("key_information_learned"),
        replan=flag("needs_full_replan"),
        **_STEP,
    ),
    "step_observation_failed": Row("plan.observation_failed", **_STEP, **FAILURE),
    "plan_refinement": Row("plan.refined", refined=count("refined_step_count"), **_STEP),
    "plan_replan_triggered": Row("plan.replaced", reason=answer("replan_reason"), **_STEP),
    "goal_achieved_early": Row(
        "plan.goal_achieved", completed=count("steps_completed"), remaining=count("steps_remaining"), **_STEP
    ),
}

MCP: Final = {
    "mcp_connection_started": Row("mcp.connection_started", reconnect=flag("is_reconnect"), **_SERVER),
    "mcp_connection_completed": Row(
        "mcp.connection_completed",
        reconnect=flag("is_reconnect"),
        duration_ms=number("connection_duration_ms"),
        **_SERVER,
    ),
    "mcp_connection_failed": Row("mcp.connection_failed", **_SERVER, **FAILURE),
    "mcp_tool_execution_started": Row(
        "mcp.tool_started", tool=label("tool_name", "unknown"), arguments=arguments("tool_args"), **_SERVER
    ),
    "mcp_tool_execution_completed": Row(
        "mcp.tool_finished",
        tool=label("tool_name", "unknown"),
        result=outcome("result"),
        duration_ms=number("execution_duration_ms"),
        **_SERVER,
    ),
    "mcp_tool_execution_failed": Row(
        "mcp.tool_failed",
        tool=label("tool_name", "unknown"),
        **_SERVER,
        **FAILURE,
    ),
    "mcp_config_fetch_failed": Row("mcp.config_failed", server=label("slug"), **FAILURE),
}

A2A: Final = {
    "a2a_delegation_started": Row("a2a.delegation_started", task=answer("task_description"), **_ENDPOINT),
    "a2a_delegation_completed": Row(
        "a2a.delegation_completed", result=outcome("result"), error=label("error"), **_REMOTE
    ),
    "a2a_conversation_started": Row("a2a.conversation_started", **_ENDPOINT),
    "a2a_conversation_completed": Row(
        "a2a.conversation_completed",
        result=outcome("final_result"),
        error=label("error"),
        turns=count("total_turns"),
        **_REMOTE,
    ),
    "a2a_message_sent": Row("a2a.message_sent", message=answer("message"), **_REMOTE),
    "a2a_response_received": Row("a2a.response_received", response=outcome("response"), **_REMOTE),
    "a2a_server_task_started": Row("a2a.task_started", context=label("context_id")),
    "a2a_server_task_completed": Row(
        "a2a.task_completed", result=outcome("result"), context=label("context_id")
    ),
    "a2a_server_task_failed": Row("a2a.task_failed", context=label("context_id"), **FAILURE),
    "a2a_server_task_canceled": Row("a2a.task_canceled", context=label("context_id")),
    "a2a_connection_error": Row(
        "a2a.connection_failed",
        operation=label("operation"),
        **_ENDPOINT,
        **FAILURE,
    ),
    "a2a_authentication_failed": Row(
        "a2a.connection_failed", operation=label("auth_type"), **_ENDPOINT, **FAILURE
    ),
    "a2a_polling_started": Row("custom.a2a_polling_started", **_STATE),
    "a2a_polling_status": Row("custom.a2a_polling_status", polls=count("poll_count"), **_STATE),
    "a2a_push_notification_registered": Row("custom.a2a_push_notification_registered", **_STATE),
    "a2a_push_notification_received": Row("custom.a2a_push_notification_received", **_STATE),
    "a2a_push_notification_sent": Row("custom.a2a_push_notification_sent", success=flag("success"), **_STATE),
    "a2a_push_notification_timeout": Row("custom.a2a_push_notification_timeout", **_STATE),
    "a2a_streaming_started": Row("custom.a2a_streaming_started", **_REMOTE),
    "a2a_streaming_chunk": Row("custom.a2a_streaming_chunk", text=answer("chunk"), **_REMOTE),
    "a2a_agent_card_fetched": Row("custom.a2a_agent_card_fetched", cached=flag("cached"), **_REMOTE),
    "a2a_artifact_received": Row(
        "custom.a2a_artifact_received",
        artifact=label("artifact_name"),
        mime_type=label("mime_type"),
        bytes=count("size_bytes"),
        **_REMOTE,
    ),
    "a2a_parallel_delegation_started": Row(
        "custom.a2a_parallel_delegation_started", task=answer("task_description")
    ),
    "a2a_parallel_delegation_completed": Row(
        "custom.a2a_parallel_delegation_completed",
        succeeded=count("success_count"),
        failed=count("failure_count"),
    ),
    "a2a_transport_negotiated": Row(
        "custom.a2a_transport_negotiated", transport=label("negotiated_transport"), **_REMOTE
    ),
    "a2a_content_type_negotiated": Row(
        "custom.a2a_content_type_negotiated", success=flag("negotiation_success"), **_REMOTE
    ),
}

A2A_CONTEXTS: Final = {
    "a2a_context_created": Row("custom.a2a_context_created", **_CONTEXT),
    "a2a_context_idle": Row(
        "custom.a2a_context_idle", seconds=number("idle_seconds"), tasks=count("task_count"), **_CONTEXT
    ),
    "a2a_context_completed": Row(
        "custom.a2a_context_completed",
        seconds=number("duration_seconds"),
        tasks=count("total_tasks"),
        **_CONTEXT,
    ),
    "a2a_context_expired": Row(
        "custom.a2a_context_expired", seconds=number("age_seconds"), tasks=count("task_count"), **_CONTEXT
    ),
    "a2a_context_pruned": Row(
        "custom.a2a_context_pruned", seconds=number("age_seconds"), tasks=count("task_count"), **_CONTEXT
    ),
}

INTEGRATIONS: Final[dict[str, Row]] = {**PLANS, **MCP, **A2A, **A2A_CONTEXTS}
