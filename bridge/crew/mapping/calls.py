"""Rows for what agents call on: models, tools and guardrails."""

from typing import Final

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
from bridge.crew.mapping.row import Row, Verdict

_TOOL: Final = {"tool": label("tool_name", "unknown"), "attempt": count("run_attempts")}

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

TOOLS: Final = {
    "tool_usage_started": Row("tool.started", arguments=arguments("tool_args"), **_TOOL),
    "tool_usage_finished": Row(
        "tool.finished",
        result=outcome("output"),
        from_cache=flag("from_cache"),
        duration_ms=elapsed,
        reported_failure=label("failure.message"),
        **_TOOL,
    ),
    "tool_usage_error": Row("tool.failed", **_TOOL, **FAILURE),
    "tool_failure_detected": Row(
        "tool.failed",
        error=label("failure.message", "the tool reported a failure"),
        policy=label("policy"),
        **_TOOL,
    ),
    "tool_validate_input_error": Row("tool.failed", **_TOOL, **FAILURE),
    "tool_selection_error": Row("tool.failed", **_TOOL, **FAILURE),
    "tool_execution_error": Row("tool.failed", **_TOOL, **FAILURE),
}

GUARDRAILS: Final = {
    "llm_guardrail_started": Row(
        "guardrail.started",
        guardrail=label("guardrail_name"),
        kind=label("guardrail_type"),
        attempt=count("retry_count"),
    ),
    "llm_guardrail_completed": Verdict(
        passed=Row("guardrail.passed", guardrail=label("guardrail_name"), attempt=count("retry_count")),
        failed=Row(
            "guardrail.failed", guardrail=label("guardrail_name"), attempt=count("retry_count"), **FAILURE
        ),
    ),
    "llm_guardrail_failed": Row("guardrail.failed", guardrail=label("guardrail_name"), **FAILURE),
}

CALLS: Final[dict[str, Row]] = {**MODELS, **TOOLS, **GUARDRAILS}
