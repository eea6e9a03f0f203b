"""How the tap behaves in a process: what it leaves alone and what it can be told, as one line of JSON."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from crewai.events.base_events import BaseEvent
from crewai.events.event_bus import crewai_event_bus as bus
from crewai.execution import set_execution_uuid

from bridge.crew import install
from contracts import create_queue_event
from tests.crew.scenarios.offline import simple_crew

SETTINGS: dict[str, Any] = {"source": os.environ["SOURCE"], "spool_directory": Path(os.environ["SPOOL"])}

CHANGES: tuple[dict[str, Any], ...] = (
    {"nats_url": "nats://elsewhere:1"},
    {"source": "another", "content": "none"},
    {"wrap": False},
    {"redact": lambda _type, data: data},
    {"nats_options": {"token": "t"}},
)


def refusal(**change: Any) -> str:
    """What a second call says of a change."""
    try:
        install(**{"nats_url": os.environ["NATS_URL"], **SETTINGS, **change})
    except ValueError as error:
        return str(error)
    return "taken"


def on_sigterm(_number: int, _frame: FrameType | None) -> None:
    """A handler of the application's own."""


def in_a_child(look: Callable[[], bool]) -> bool:
    """What a forked child sees."""
    child = os.fork()
    if not child:
        os._exit(look())
    return bool(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def main() -> dict[str, Any]:
    answers: dict[str, Any] = {}
    signal.signal(signal.SIGTERM, on_sigterm)
    tap = install(os.environ["NATS_URL"], **SETTINGS)
    answers["same"] = install(os.environ["NATS_URL"], **SETTINGS) is tap
    answers["others"] = [refusal(**change) for change in CHANGES]
    answers["own_handler"] = signal.getsignal(signal.SIGTERM) is on_sigterm

    set_execution_uuid("job 7.1")
    simple_crew().kickoff()
    tap.publish(create_queue_event("inbox", "cleared", source=os.environ["SOURCE"]))
    event = BaseEvent(type="asynchronous")
    asyncio.run(bus.aemit(None, event))
    answers["flushed"] = tap.flush(10)

    tap.close()
    answers["closed"] = tap.closed and "emit" not in vars(bus) and "aemit" not in vars(bus)
    bus.emit(None, BaseEvent(type="unheard"))
    answers["closed_in_a_child"] = in_a_child(lambda: tap.closed)

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    again = install(os.environ["NATS_URL"], **SETTINGS)
    answers["handler"] = signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    outer = bus.emit

    def emit(source: Any, event: Any) -> Any:
        return outer(source, event)

    bus.emit = emit
    bus.emit(None, BaseEvent(type="wrapped_twice"))
    again.close()
    bus.emit(None, BaseEvent(type="unheard"))
    answers["restored"] = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    return answers


sys.stdout.write(json.dumps(main()))
