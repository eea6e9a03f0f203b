"""Rows for what surrounds the work: memory, knowledge, checkpoints, skills, hooks and signals."""

from typing import Final

from bridge.crew.mapping.fields import FAILURE, answer, chars, count, elapsed, label, names, number, size
from bridge.crew.mapping.row import Row

_SKILL: Final = {"skill": label("skill_name")}
_DOWNLOAD: Final = {**_SKILL, "skill_ref": label("registry_ref"), "version": label("version")}
_CHECKPOINT: Final = {
    "checkpoint": label("checkpoint_id"),
    "branch": label("branch"),
    "provider": label("provider"),
}
_SIGNAL: Final = {"component": label("type"), "reason": label("reason")}


def _checkpoints() -> dict[str, Row]:
    kinds = (
        "started",
        "completed",
        "pruned",
        "fork_started",
        "fork_completed",
        "restore_started",
        "restore_completed",
    )
    return {
        f"checkpoint_{kind}": Row(
            f"custom.checkpoint_{kind}",
            duration_ms=number("duration_ms"),
            removed=count("removed_count"),
            **_CHECKPOINT,
        )
        for kind in kinds
    }


SURROUNDINGS: Final[dict[str, Row]] = {
    "memory_save_started": Row("custom.memory_save_started", value=answer("value")),
    "memory_save_completed": Row(
        "memory.stored",
        memory_type=label("source_type"),
        value=answer("value"),
        duration_ms=number("save_time_ms"),
    ),
    "memory_save_failed": Row("custom.memory_save_failed", **FAILURE),
    "memory_query_started": Row("custom.memory_query_started", query=answer("query"), limit=count("limit")),
    "memory_query_completed": Row(
        "memory.retrieved",
        memory_type=label("source_type"),
        query=answer("query"),
        results=size("results"),
        duration_ms=number("query_time_ms"),
    ),
    "memory_query_failed": Row("custom.memory_query_failed", query=answer("query"), **FAILURE),
    "memory_retrieval_started": Row("custom.memory_retrieval_started"),
    "memory_retrieval_completed": Row(
        "memory.retrieved",
        memory_type=label("source_type"),
        content=answer("memory_content"),
        duration_ms=number("retrieval_time_ms"),
    ),
    "memory_retrieval_failed": Row("custom.memory_retrieval_failed", **FAILURE),
    "knowledge_query_started": Row("knowledge.query_started", prompt_chars=chars("task_prompt")),
    "knowledge_query_completed": Row("knowledge.query_completed", query=answer("query"), duration_ms=elapsed),
    "knowledge_query_failed": Row("knowledge.query_failed", **FAILURE),
    "knowledge_search_query_started": Row("knowledge.search_started"),
    "knowledge_search_query_completed": Row(
        "knowledge.search_completed",
        query=answer("query"),
        result=answer("retrieved_knowledge"),
        duration_ms=elapsed,
    ),
    "knowledge_search_query_failed": Row("knowledge.search_failed", query=answer("query"), **FAILURE),
    **_checkpoints(),
    "checkpoint_failed": Row(
        "system.error", component=label("provider"), error=label("error", "checkpoint failed")
    ),
    "checkpoint_restore_failed": Row(
        "system.error", component=label("provider"), error=label("error", "restoring a checkpoint failed")
    ),
    "skill_discovery_started": Row("custom.skill_discovery_started", **_SKILL),
    "skill_discovery_completed": Row(
        "custom.skill_discovery_completed", found=count("skills_found"), skills=names("skill_names"), **_SKILL
    ),
    "skill_loaded": Row("custom.skill_loaded", level=count("disclosure_level"), **_SKILL),
    "skill_activated": Row("custom.skill_activated", level=count("disclosure_level"), **_SKILL),
    "skill_used": Row("custom.skill_used", level=count("disclosure_level"), **_SKILL),
    "skill_download_started": Row("custom.skill_download_started", **_DOWNLOAD),
    "skill_download_completed": Row("custom.skill_download_completed", **_DOWNLOAD),
    "skill_load_failed": Row(
        "system.error", component=label("skill_name"), error=label("error", "a skill failed")
    ),
    "hook_dispatched": Row(
        "custom.hook_dispatched",
        point=label("interception_point"),
        outcome=label("outcome"),
        hooks=count("hook_count"),
        duration_ms=number("duration_ms"),
        reason=label("abort_reason"),
    ),
    "SIGTERM": Row("system.shutdown", **_SIGNAL),
    "SIGINT": Row("system.shutdown", **_SIGNAL),
    "SIGHUP": Row("custom.SIGHUP", **_SIGNAL),
    "SIGTSTP": Row("custom.SIGTSTP", **_SIGNAL),
    "SIGCONT": Row("custom.SIGCONT", **_SIGNAL),
    "cc_env": Row("custom.cc_env"),
    "codex_env": Row("custom.codex_env"),
    "cursor_env": Row("custom.cursor_env"),
}
