"""Rows for what agents call on: models, tools and guardrails."""

from typing import Any, Final

from bridge.crew.context import Context
from bridge.crew.identity import attribute
from bridge.crew.mapping.fields import (
    FAILURE,
    arguments,
    chars,
    count,
    elapsed,
    flag,
    label,
    number,
    outcome,
    prompt,
)
from bridge.crew.mapping.page import Put
from bridge.crew.mapping.row import Either, Row

_TOOL: Final = {"tool": label("tool_name", "unknown"), "attempt": count("run_attempts")}
_REPORTED: Final = label("failure.message", "the tool reported a failure")

MODELS: Final = {
    "llm_call_started": Row(
        "llm.call_started",
        call_id=label("call_id"),
        model=label("model"),
        prompt_chars=chars("messages"),
        messages=prompt("messages"),
        stream=flag("stream"),
        temperature=number("temperature"),
    ),
    "llm_call_completed": Row(
        "llm.call_completed",
        call_id=label("call_id"),
        model=label("model"),
        response=outcome("response"),
        call_type=label("call_type"),
        finish_reason=label("finish_reason"),
        input_tokens=count("usage.prompt_tokens"),
        output_tokens=count("usage.completion_tokens"),
        total_tokens=count("usage.total_tokens"),
        duration_ms=elapsed,
    ),
    "llm_call_failed": Row("llm.call_failed", call_id=label("call_id"), model=label("model"), **FAILURE),
    "context_window_summarization_started": Row(
        "custom.context_window_summarization_started", model=label("model")
    ),
    "context_window_summarization_completed": Row(
        "custom.context_window_summarization_completed", model=label("model")
    ),
    "context_window_summarization_failed": Row(
        "custom.context_window_summarization_failed", model=label("model"), **FAILURE
    ),
}


def _of_call(event_type: str, attempt: str, /, **fields: Put) -> Row:
    """A row for what begins or ends a call, and for what only begins or ends an attempt at it."""
    return Either(_is_attempt, Row(attempt, **fields), Row(event_type, **fields))


def _is_attempt(_: Any, context: Context) -> bool:
    return context.is_attempt


def _has_failed(event: Any, _: Context) -> bool:
    return attribute(event, "failure") is not None


def _has_passed(event: Any, _: Context) -> bool:
    return bool(event.success)


_RETURNED: Final = {
    "result": outcome("output"),
    "from_cache": flag("from_cache"),
    "duration_ms": elapsed,
    **_TOOL,
}
_FAILED: Final = _of_call("tool.failed", "custom.tool_attempt_failed", **_TOOL, **FAILURE)

TOOLS: Final = {
    "tool_usage_started": _of_call(
        "tool.started", "custom.tool_attempt_started", arguments=arguments("tool_args"), **_TOOL
    ),
    "tool_usage_finished": Either(
        _has_failed,
        Row("tool.failed", error=_REPORTED, **_RETURNED),
        Row("tool.finished", **_RETURNED),
    ),
    "tool_usage_error": _FAILED,
    "tool_failure_detected": _of_call(
        "tool.failed", "custom.tool_failure_detected", error=_REPORTED, policy=label("policy"), **_TOOL
    ),
    "tool_validate_input_error": _FAILED,
    "tool_selection_error": _FAILED,
    "tool_execution_error": _FAILED,
}

GUARDRAILS: Final = {
    "llm_guardrail_started": Row(
        "guardrail.started",
        guardrail=label("guardrail_name"),
        kind=label("guardrail_type"),
        attempt=count("retry_count"),
    ),
    "llm_guardrail_completed": Either(
        _has_passed,
        Row("guardrail.passed", guardrail=label("guardrail_name"), attempt=count("retry_count")),
        Row("guardrail.failed", guardrail=label("guardrail_name"), attempt=count("retry_count"), **FAILURE),
    ),
    "llm_guardrail_failed": Row("guardrail.failed", guardrail=label("guardrail_name"), **FAILURE),
}

CALLS: Final[dict[str, Row]] = {**MODELS, **TOOLS, **GUARDRAILS}
