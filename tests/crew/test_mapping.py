"""The mapping against CrewAI itself, the newest and the oldest: every class it has, every field we read."""

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.crew.mapping import TABLE
from contracts import WebSocketEvent
from tests.crew.crewai_process import CrewProcess

JOINED = {"llm_stream_chunk", "llm_thinking_chunk"}
"""The journal joins them, so they need no row."""
DROPPED = {"default_env"}
"""Says at every kickoff that CrewAI was not started by a coding agent."""
NAMED_ONLY = {"llm_guardrail_failed"}
"""CrewAI lists it as the end of a guardrail, and has no class for it."""
TERSE = {"cc_env", "codex_env", "cursor_env", "memory_retrieval_started", "knowledge_search_query_started"}
"""Their type is all that there is to say."""

Classes = dict[str, dict[str, Any]]


def _classes(python: str, home: Path) -> Classes:
    process = CrewProcess(python, home)
    classes: Classes = json.loads(process.run("classes", nats_url="", source=""))
    return classes


@pytest.fixture(scope="module")
def newest(crewai_python: str, tmp_path_factory: pytest.TempPathFactory) -> Classes:
    return _classes(crewai_python, tmp_path_factory.mktemp("newest"))


@pytest.fixture(scope="module")
def oldest(old_crewai_python: str, tmp_path_factory: pytest.TempPathFactory) -> Classes:
    return _classes(old_crewai_python, tmp_path_factory.mktemp("oldest"))


@pytest.fixture(params=["newest", "oldest"])
def classes(request: pytest.FixtureRequest) -> Classes:
    found: Classes = request.getfixturevalue(request.param)
    return found


def test_every_class_has_a_row_or_a_reason_to_have_none(classes: Classes) -> None:
    assert set(classes) - set(TABLE) == JOINED | DROPPED


def test_a_listener_hears_every_class_also_those_that_crewai_defines_late(classes: Classes) -> None:
    assert [kind for kind, found in classes.items() if not found["heard"]] == []


def test_every_row_is_for_a_class_that_there_is(newest: Classes, oldest: Classes) -> None:
    assert set(TABLE) - set(newest) - set(oldest) == NAMED_ONLY


def test_every_field_that_is_read_is_one_that_a_class_has(newest: Classes, oldest: Classes) -> None:
    """Rows share fields, so one of the classes that a name is read of has to have it."""
    found = [*newest.values(), *oldest.values()]
    names = {name for each in found for name in each["reads"]}

    assert names
    assert [
        name for name in names if not any(name in each["reads"] and name in each["fields"] for each in found)
    ] == []


def test_an_event_of_every_class_is_a_valid_event_of_ours_that_says_something(classes: Classes) -> None:
    for kind, found in classes.items():
        events = [WebSocketEvent.from_json(text) for text in found["recorded"]]
        if kind in DROPPED:
            assert events == []
            continue
        event = next(event for event in events if event.event_id == event.metadata["crewai"]["event_id"])
        assert event.metadata["crewai"]["type"] == kind
        assert event.data.model_dump(exclude_none=True) or kind in TERSE, kind
