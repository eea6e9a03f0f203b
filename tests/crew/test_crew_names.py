"""What a crew is called in events: what its author called it, or what it is, and no object's random id."""

from types import SimpleNamespace
from typing import Any

import pytest

from bridge.crew.crew_names import CrewId, CrewNames
from tests.crew.bench import Bench, Crew, event


def crew(**fields: Any) -> Any:
    return SimpleNamespace(**{"id": "uuid-1", "name": "crew", "key": "k1", **fields})


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"name": "Newsroom"}, "Newsroom"),
        ({"name": "News room 1.0"}, "News-room-1-0"),
        ({}, "k1"),
        ({"name": None}, "k1"),
        ({"name": ""}, "k1"),
        ({"name": None, "key": None}, "uuid-1"),
    ],
)
def test_a_crew_is_called_by_its_name_else_its_key_else_its_id(fields: dict[str, Any], name: str) -> None:
    assert CrewNames().of(crew(**fields)) == (name, "uuid-1")


def fails(_: Any) -> str:
    raise LookupError("no")


@pytest.mark.parametrize(
    ("chosen", "name"),
    [
        ("news", "news"),
        (lambda each: f"{each.name} 2", "Paper-2"),
        (lambda _: None, "Paper"),
        (fails, "Paper"),
    ],
)
def test_who_installs_the_tap_can_say_otherwise(chosen: CrewId, name: str) -> None:
    assert CrewNames(chosen).of(crew(name="Paper")) == (name, "uuid-1")


def test_a_crew_is_asked_once() -> None:
    asked: list[Any] = []

    def ask(each: Any) -> str:
        asked.append(each)
        return "news"

    names = CrewNames(ask)
    for _ in range(3):
        names.of(crew())

    assert len(asked) == 1


def test_what_is_no_crew_has_no_name() -> None:
    assert CrewNames("news").of(None) == CrewNames("news").of(SimpleNamespace()) == (None, None)


def test_an_event_has_the_name_in_its_subject_and_the_objects_id_in_its_metadata() -> None:
    bench = Bench()
    bench.record(event("crew_kickoff_started"), source=Crew())

    message = bench.outbox.take(1)[0][0]
    assert message.subject == "crew.started.Crew.e1"
    assert b'"crew_id":"Crew"' in message.payload
    assert b'"crew_id":"crew-1"' in message.payload


class Namesake(Crew):
    """One of several crews of one name."""

    def __init__(self, own: str, *tasks: str) -> None:
        self.id = own
        self.tasks: Any = [
            SimpleNamespace(id=each, agent=None, name=each, description=each) for each in tasks
        ]


def test_two_crews_of_one_name_keep_their_progress_apart() -> None:
    bench = Bench()
    crews = Namesake("c1", "t1", "t2"), Namesake("c2", "t3", "t4", "t5")
    starts = [event("crew_kickoff_started") for _ in crews]
    for start, each in zip(starts, crews, strict=True):
        bench.record(start, source=each)
    for start, task in zip(starts, ("t1", "t3"), strict=True):
        bench.record(event("task_completed", start, task_id=task))

    progress = [each["data"] for each in bench.taken() if each["event_type"] == "execution.progress"]
    assert [(each["completed_tasks"], each["total_tasks"]) for each in progress] == [(1, 2), (1, 3)]
