"""A crew that does to the tap what it can: secrets everywhere, objects without an end, events out of turn."""

# CrewAI is not there when types are checked: its classes and decorators are of any type.
# mypy: disable-error-code="misc, untyped-decorator"

import threading
from typing import Any

from crewai import Crew
from crewai.events.base_events import BaseEvent
from crewai.events.event_bus import crewai_event_bus
from crewai.flow.flow import Flow, start
from crewai.tools import tool

from tests.crew.scenarios.offline import DONE, SENTINEL, agent, model, task, use

PASSWORD = "horse-battery-9f81"
HEADERS = f"{{'Authorization': 'Bearer {PASSWORD}', 'X-Api-Key': '{PASSWORD}'}}"


class Shouted(BaseEvent):
    """An event of the application's own, with what a tap should not trip over."""

    type: str = "shouted"
    echoes: int = 0
    password: str = PASSWORD
    text: object = "\ud800"
    holder: object = None


@tool("Call")
def call(url: str, options: object) -> dict[str, Any]:
    """Call an interface."""
    raise ConnectionError(f"401 for {url}, sent {HEADERS}, answered password={PASSWORD}")


class Secretive(Flow):
    """A flow whose results are objects."""

    @start()
    def work(self) -> dict[str, Any]:
        result: dict[str, Any] = {"summary": "done", "password": PASSWORD, "deep": [{"token": PASSWORD}]}
        result["self"] = result
        return result | {"model": model(), "url": f"https://bob:{PASSWORD}@example.com/?sig={PASSWORD}"}


def _echo(source: Any, event: Shouted) -> None:
    """Emits within emit, and then raises."""
    if event.echoes:
        crewai_event_bus.emit(source, Shouted(echoes=event.echoes - 1))
    raise RuntimeError(PASSWORD)


def _shout() -> None:
    for _ in range(20):
        crewai_event_bus.emit(None, Shouted(holder=model()))


def hostile() -> None:
    crewai_event_bus.register_handler(Shouted, _echo)
    endless: dict[str, Any] = {"secret": SENTINEL}
    endless["again"] = [endless]
    crewai_event_bus.emit(None, Shouted(echoes=3, text=endless, holder=endless))
    threads = [threading.Thread(target=_shout) for _ in range(4)]
    for thread in threads:
        thread.start()

    secrets = {"url": f"https://x/?api_key={PASSWORD}", "options": {"nested": {"client_secret": PASSWORD}}}
    worker = agent(model(use("call", **secrets), f"{DONE}, with password: {PASSWORD}"), tools=[call])
    inputs = {"config": {"llm": {"api_key": PASSWORD}}, "number": 10**400}
    Crew(agents=[worker], tasks=[task("ask", worker)]).kickoff(inputs)
    Secretive().kickoff()

    for thread in threads:
        thread.join()
    crewai_event_bus.flush()
    crewai_event_bus.off(Shouted, _echo)
