"""Whatever CrewAI calls something, a subject can hold it."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from bridge.crew.crew_names import CrewNames
from bridge.crew.identity import Ids, identifier, ids_of
from contracts.subjects import Id

NAMES = CrewNames().of
VALID: TypeAdapter[str] = TypeAdapter(Id)


class Crew:
    id = "c"


class BaseAgent:
    id = "a"
    crew = Crew()


class SpecialAgent(BaseAgent):
    id = "s"


class Task:
    id = "t"
    agent = BaseAgent()


@given(st.text() | st.integers() | st.uuids())
def test_every_name_becomes_an_id_or_nothing(name: object) -> None:
    made = identifier(name)

    assert made is None or VALID.validate_python(made) == made


def test_what_is_allowed_stays_as_it_is() -> None:
    assert identifier("job-7:β") == "job-7:β"
    assert identifier("job 7.1") == "job-7-1"
    assert identifier(None) is identifier("") is identifier("_") is None


def test_two_long_names_stay_two() -> None:
    first, second = identifier("x" * 200 + "1"), identifier("x" * 200 + "2")

    assert first != second
    assert first is not None
    assert len(first) == 128


def test_ids_come_from_the_event_its_objects_and_its_source() -> None:
    nothing = SimpleNamespace()
    assert ids_of(Crew(), nothing, NAMES) == Ids("c", None, None, "c")
    assert ids_of(Task(), nothing, NAMES) == Ids("c", "t", "a", "c")
    assert ids_of(SpecialAgent(), nothing, NAMES) == Ids("c", None, "s", "c")
    assert ids_of(nothing, SimpleNamespace(task=Task(), agent="a role"), NAMES) == Ids("c", "t", "a", "c")
    assert ids_of(Task(), SimpleNamespace(task_id="t2", agent_id="a2"), NAMES) == Ids("c", "t2", "a2", "c")
    assert ids_of(nothing, SimpleNamespace(agent_info={"id": "a3"}), NAMES) == Ids(None, None, "a3")


def test_what_an_event_does_not_say_it_inherits() -> None:
    assert Ids(task="t2").within(Ids("c", "t", "a", "c")) == Ids("c", "t2", "a", "c")


def test_of_a_pydantic_class_only_what_its_events_can_say_is_asked() -> None:
    class Open(BaseModel, extra="allow"):
        """May hold anything."""

    class Closed(BaseModel):
        task_id: str | None = None

        @property
        def agent(self) -> BaseAgent:
            return BaseAgent()

    assert ids_of(None, Open(task_id="t1", agent_id="a1"), NAMES) == Ids(None, "t1", "a1")  # type: ignore[call-arg]
    assert ids_of(None, Closed(task_id="t2"), NAMES) == Ids("c", "t2", "a", "c")
    assert ids_of(None, Closed(), NAMES) == Ids("c", None, "a", "c")
