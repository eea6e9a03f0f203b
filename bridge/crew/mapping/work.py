"""Rows for the work itself: crews, tasks and agents."""

from typing import Final

from bridge.crew.mapping.fields import (
    FAILURE,
    answer,
    chars,
    count,
    elapsed,
    label,
    mapping,
    names,
    number,
    outcome,
    prompt,
    size,
)
from bridge.crew.mapping.row import Row, RunRow

CREWS: Final = {
    "crew_kickoff_started": RunRow(
        "execution.started",
        "crew.started",
        name=label("crew_name"),
        key=label("source.key"),
        inputs=mapping("inputs"),
        total_tasks=size("source.tasks"),
    ),
    "crew_kickoff_completed": RunRow(
        "execution.completed",
        "crew.completed",
        name=label("crew_name"),
        result=outcome("output"),
        total_tokens=count("total_tokens"),
        duration_ms=elapsed,
    ),
    "crew_kickoff_failed": RunRow("execution.failed", "crew.failed", name=label("crew_name"), **FAILURE),
    "crew_train_started": Row(
        "custom.crew_train_started", name=label("crew_name"), iterations=count("n_iterations")
    ),
    "crew_train_completed": Row(
        "custom.crew_train_completed", name=label("crew_name"), iterations=count("n_iterations")
    ),
    "crew_train_failed": Row("custom.crew_train_failed", name=label("crew_name"), **FAILURE),
    "crew_test_started": Row(
        "custom.crew_test_started", name=label("crew_name"), iterations=count("n_iterations")
    ),
    "crew_test_completed": Row("custom.crew_test_completed", name=label("crew_name")),
    "crew_test_failed": Row("custom.crew_test_failed", name=label("crew_name"), **FAILURE),
    "crew_test_result": Row(
        "custom.crew_test_result",
        name=label("crew_name"),
        quality=number("quality"),
        model=label("model"),
        seconds=number("execution_duration"),
    ),
}

TASKS: Final = {
    "task_started": Row(
        "task.assigned",
        name=label("task.name"),
        description=answer("task.description"),
        expected_output=answer("task.expected_output"),
        agent=label("task.agent.role"),
        context_chars=chars("context"),
    ),
    "task_completed": Row(
        "task.completed",
        name=label("task.name"),
        result=outcome("output"),
        agent=label("output.agent"),
        duration_ms=elapsed,
    ),
    "task_failed": Row(
        "task.failed",
        name=label("task.name"),
        **FAILURE,
    ),
    "task_evaluation": Row(
        "custom.task_evaluation", name=label("task.name"), evaluation=label("evaluation_type")
    ),
}

AGENTS: Final = {
    "agent_execution_started": Row(
        "agent.started",
        role=label("agent.role"),
        tools=names("tools"),
        prompt_chars=chars("task_prompt"),
        prompt=prompt("task_prompt"),
    ),
    "agent_execution_completed": Row(
        "agent.completed", role=label("agent.role"), result=outcome("output"), duration_ms=elapsed
    ),
    "agent_execution_error": Row("agent.failed", role=label("agent.role"), **FAILURE),
    "lite_agent_execution_started": Row(
        "agent.started",
        role=label("agent_info.role"),
        tools=names("tools"),
        prompt_chars=chars("messages"),
        prompt=prompt("messages"),
    ),
    "lite_agent_execution_completed": Row(
        "agent.completed", role=label("agent_info.role"), result=outcome("output"), duration_ms=elapsed
    ),
    "lite_agent_execution_error": Row("agent.failed", role=label("agent_info.role"), **FAILURE),
    "agent_logs_started": Row("agent.step", role=label("agent_role"), description=answer("task_description")),
    "agent_logs_execution": Row(
        "agent.step",
        role=label("agent_role"),
        thought=answer("formatted_answer.thought"),
        tool=label("formatted_answer.tool"),
        result=answer("formatted_answer.output"),
    ),
    "agent_evaluation_started": Row(
        "custom.agent_evaluation_started", role=label("agent_role"), iteration=count("iteration")
    ),
    "agent_evaluation_completed": Row(
        "custom.agent_evaluation_completed",
        role=label("agent_role"),
        iteration=count("iteration"),
        category=label("metric_category"),
    ),
    "agent_evaluation_failed": Row(
        "custom.agent_evaluation_failed", role=label("agent_role"), iteration=count("iteration"), **FAILURE
    ),
}

WORK: Final[dict[str, Row]] = {**CREWS, **TASKS, **AGENTS}
