"""Every event class of this CrewAI: what its row reads, and what is recorded of an event that has it all."""

import json
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import crewai
from crewai.events.base_events import BaseEvent

from bridge.crew import bus
from bridge.crew.context import Context
from bridge.crew.draft import Policy
from bridge.crew.identity import NOBODY
from bridge.crew.journal import Journal
from bridge.crew.mapping import TABLE
from bridge.crew.mapping.page import Page
from bridge.crew.outbox import Outbox
from bridge.crew.recorder import Recorder

DEFINES = re.compile(r"^class \w+\(\w*Event\):", re.MULTILINE)
POLICY = Policy(content="full")
OBJECT = SimpleNamespace(message="a word", thought="a word")
EXAMPLES: dict[Any, Any] = {
    str: "a word", int: 3, float: 0.5, bool: False, dict: {"name": "a word"}, list: ["a word"],
}  # fmt: skip


class Spy(Page):
    """Notes what is read of it."""

    def __init__(self, success: bool) -> None:
        event = SimpleNamespace(success=success)
        super().__init__(None, event, Context("e1", NOBODY, None), "full")
        self.paths: set[str] = set()

    def read(self, path: str) -> None:
        self.paths.add(path)


def reads(kind: str) -> list[str]:
    """The fields of the event that its row reads: of a path only the first name is the event's."""
    row = TABLE[kind]
    spies = Spy(success=True), Spy(success=False)
    for spy in spies:
        row.write(spy)
    paths = set().union(*(spy.paths for spy in spies))
    return sorted({path.split(".")[0] for path in paths if not path.startswith("source.")})


def example(annotation: Any) -> Any:
    """A value of the type, not validated: an object where it is a class."""
    origin, choices = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return choices[0]
    if origin in (Union, UnionType):
        return example(next(choice for choice in choices if choice is not type(None)))
    return EXAMPLES.get(origin or annotation, OBJECT)


def recorded(kind: type[Any]) -> list[str]:
    """What is published of an event of the class that has a value in every field of its own."""
    outbox = Outbox()
    journal = Journal(outbox, POLICY)
    own = {name: field for name, field in kind.model_fields.items() if name not in BaseEvent.model_fields}
    event = kind.model_construct(**{name: example(field.annotation) for name, field in own.items()})
    recorder = Recorder(bus.ledger(), journal, POLICY, lambda: None)
    recorder.record(None, event)
    recorder.publish_announcements()
    journal.close_all()
    assert recorder.failures == 0, kind
    return [message.payload.decode() for message in outbox.take(100)[0]]


def classes(base: Any) -> Iterator[Any]:
    for kind in base.__subclasses__():
        yield kind
        yield from classes(kind)


def define_all() -> None:
    """Import each module that defines an event's class: CrewAI imports some only when it needs them."""
    root = Path(crewai.__file__).parent
    for path in root.rglob("*.py"):
        if DEFINES.search(path.read_text()):
            import_module(".".join(path.relative_to(root.parent).with_suffix("").parts))


def main() -> dict[str, Any]:
    bus.listen(lambda source, event: None)
    heard = set(classes(BaseEvent))
    define_all()
    kinds = {kind.model_fields["type"].default: kind for kind in classes(BaseEvent)}
    return {
        name: {
            "reads": reads(name) if name in TABLE else [],
            "fields": [each for each in dir(kind) if not each.startswith("_")] + list(kind.model_fields),
            "recorded": recorded(kind),
            "heard": kind in heard,
        }
        for name, kind in kinds.items()
        if isinstance(name, str)
    }


sys.stdout.write(json.dumps(main()))
