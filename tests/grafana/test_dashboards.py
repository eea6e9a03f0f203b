"""The dashboards: made from the code beside them, and every panel shows something under load."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.crew import EventPublisher
from contracts import create_event, create_execution_event, create_task_event
from grafana.generate import DIRECTORY, rendered
from tests.client import Client, Listener
from tests.conftest import StartBridge
from tests.prometheus import GRAFANA, Prometheus, prometheus
from tests.waiting import eventually

BOARDS = {name: json.loads(text) for name, text in rendered().items()}
HISTOGRAM = ("_bucket", "_sum", "_count")


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The panels that ask for something."""
    return (panel for panel in board["panels"] if panel["type"] != "row")


def expressions() -> dict[str, str]:
    """Everything that the dashboards ask, by where; as Grafana would for all bridges and 10 seconds."""
    return {
        f"{board['title']}: {panel['title']} {target['refId']}": target["expr"]
        .replace("$__rate_interval", "10s")
        .replace("$instance", ".*")
        .replace("$job", ".*")
        for board in BOARDS.values()
        for panel in panels(board)
        for target in panel["targets"]
    }


def test_what_is_committed_is_what_the_code_makes() -> None:
    """If not: ``make dashboards``."""
    assert {path.name: path.read_text() for path in DIRECTORY.glob("*.json")} == rendered()


@pytest.mark.parametrize("name", BOARDS)
def test_panels_lie_side_by_side_and_explain_themselves(name: str) -> None:
    board = BOARDS[name]
    taken = [
        (x, y)
        for grid in (panel["gridPos"] for panel in board["panels"])
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    ids = [panel["id"] for panel in board["panels"]]

    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) == 23
    assert len(ids) == len(set(ids))
    assert all(panel["description"] for panel in panels(board))


@pytest.mark.parametrize("name", BOARDS)
def test_data_source_and_job_are_chosen_and_those_of_another_grafana_serve_as_well(name: str) -> None:
    board = BOARDS[name]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    asking = [*panels(board), variables["job"], variables["instance"]]

    assert list(variables) == ["source", "job", "instance"], "each needs those before it"
    assert (variables["source"]["type"], variables["source"]["query"]) == ("datasource", "prometheus")
    assert all(one["datasource"] == {"type": "prometheus", "uid": "${source}"} for one in asking)
    assert not re.search(r'"uid": "prometheus"|job=\\?"', json.dumps(board))
    for panel in panels(board):
        for target in panel["targets"]:
            for metric in re.findall(r"(?:crew_bridge|process|python)_\w+\{", target["expr"]):
                assert f'{metric}job=~"$job", instance=~"$instance"' in target["expr"]


@pytest.mark.parametrize("name", BOARDS)
def test_what_any_program_tells_of_itself_is_shown_of_bridges_only(name: str) -> None:
    for panel in panels(BOARDS[name]):
        for target in panel["targets"]:
            own = len(re.findall(r"\b(?:process|python)_", target["expr"]))
            assert own == target["expr"].count("and on (job, instance) crew_bridge_info")


async def test_every_metric_that_is_asked_for_exists(bridge: Client) -> None:
    _, text = await bridge.get("/metrics")
    existing: set[str] = set()
    for family in text_string_to_metric_families(text):
        suffixes = {"counter": ("_total",), "histogram": HISTOGRAM}.get(family.type, ("",))
        existing |= {family.name + suffix for suffix in suffixes}
    rules = "".join(path.read_text() for path in (GRAFANA / "rules").glob("*.yml"))
    asking = "\n".join([*expressions().values(), rules])
    asked = set(re.findall(r"(?<![\w:])(?:crew_bridge|process|python)_\w+(?!:)\b", asking))

    assert len(asked) > 30
    assert asked - existing == set()
    assert set(re.findall(r"\w+:crew_bridge_\w+:\w+", asking)) == set(re.findall(r"- record: (\S+)", rules))


async def test_every_panel_shows_something_while_a_bridge_works(
    start_bridge: StartBridge, tmp_path: Path, new_id: str
) -> None:
    async with start_bridge() as bridge, EventPublisher(bridge.nats_url) as publisher:
        with prometheus(tmp_path, bridge.url) as watcher:
            async with bridge.connect("global") as listener, asyncio.TaskGroup() as tasks:
                working = tasks.create_task(_work(publisher, new_id))
                listening = tasks.create_task(_listen(listener))
                missing = await asyncio.to_thread(_watch, watcher)
                working.cancel()
                listening.cancel()
            rules = await asyncio.to_thread(watcher.get, "rules")

    assert missing == {}
    states = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len(states) > 15
    assert [rule["name"] for rule in states if rule["health"] != "ok"] == []


async def _work(publisher: EventPublisher, execution_id: str) -> None:
    """Executions one after the other, until cancelled."""
    while True:
        for event in (
            create_execution_event(execution_id, "started"),
            create_task_event("t1", "assigned", execution_id=execution_id),
            create_event("llm.call_completed", input_tokens=7, output_tokens=2, duration_ms=20.0),
            create_event("tool.finished", tool="search", duration_ms=3.0),
            create_event("tool.failed", tool="search", error="no"),
            create_task_event("t1", "completed", execution_id=execution_id, duration_ms=30.0),
            create_execution_event(execution_id, "completed", duration_ms=40.0),
        ):
            await publisher.publish(event)


async def _listen(listener: Listener) -> None:
    while True:
        await listener.message()


def _watch(watcher: Prometheus) -> dict[str, str]:
    """What has shown nothing within a minute: an answer that is no number is nothing, too."""
    missing = expressions()

    def look() -> bool:
        for where, expression in tuple(missing.items()):
            if any(series["value"][1] != "NaN" for series in watcher.ask(expression)):
                del missing[where]
        return not missing

    with suppress(AssertionError):
        eventually(look, 60)
    return missing
