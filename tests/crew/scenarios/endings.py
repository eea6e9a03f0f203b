"""Processes that end in every way there is, each forked from a parent that has loaded CrewAI already."""

# CrewAI is not there when types are checked: its classes and decorators are of any type.
# mypy: disable-error-code="misc, untyped-decorator"

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from crewai.events.base_events import BaseEvent
from crewai.events.event_bus import crewai_event_bus
from crewai.telemetry import Telemetry

from bridge.crew import install
from tests.crew.scenarios.offline import ScriptedModel, simple_crew


class EndingModel(ScriptedModel):
    """Ends the process in the middle of a crew."""

    end: Callable[[], None]

    def _answer(self, messages: object, task: object, agent: object) -> str:
        answer = super()._answer(messages, task, agent)
        self.end()
        return answer


def exit_in_the_middle() -> None:
    sys.exit(3)


def interrupt_in_the_middle() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def terminate_in_the_middle() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def _middle(end: Callable[[], None]) -> None:
    simple_crew(llm=EndingModel(model="fake/ending", answers=[], end=end)).kickoff()


def normal() -> None:
    simple_crew().kickoff()


def sys_exit() -> None:
    _middle(exit_in_the_middle)


def uncaught() -> None:
    simple_crew().kickoff()
    raise RuntimeError("on purpose")


def sigint() -> None:
    _middle(interrupt_in_the_middle)


def sigterm() -> None:
    _middle(terminate_in_the_middle)


def sigterm_with_telemetry() -> None:
    """CrewAI has a handler of its own, unless its telemetry is switched off. It lets the model finish."""
    _middle(lambda: os.kill(os.getpid(), signal.SIGTERM))


def os_exit() -> None:
    simple_crew().kickoff()
    os._exit(7)


def kill_9() -> None:
    simple_crew().kickoff()
    os.kill(os.getpid(), signal.SIGKILL)


ENDINGS = {
    ending.__name__: ending
    for ending in (normal, sys_exit, uncaught, sigint, sigterm, sigterm_with_telemetry, os_exit, kill_9)
}


def work(name: str) -> None:
    if name == sigterm_with_telemetry.__name__:
        Telemetry()._register_shutdown_handlers()
    install(
        os.environ["NATS_URL"],
        source=f"{os.environ['SOURCE']}-{name}",
        spool_directory=Path(os.environ["SPOOL"]),
    )
    ENDINGS[name]()


class Boot(BaseEvent):
    """Something that happens before the fork; a kickoff must not: CrewAI's own threads do not survive one."""

    type: str = "boot"


def forked_from_a_worker() -> None:
    """The parent has a tap at work when it forks; each of the two then has runs of its own."""
    install(
        os.environ["NATS_URL"],
        source=f"{os.environ['SOURCE']}-forked",
        spool_directory=Path(os.environ["SPOOL"]),
    )
    crewai_event_bus.emit(None, Boot())
    child = os.fork()
    simple_crew().kickoff()
    if child:
        assert os.waitpid(child, 0)[1] == 0


def main() -> None:
    """Fork one child an ending, print their exit statuses; the last ending is the process's own."""
    statuses = {}
    for name in sys.argv[1:] or ENDINGS:
        child = os.fork()
        if not child:
            work(name)
            return
        statuses[name] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.stdout.write(json.dumps(statuses))
    sys.stdout.flush()


if sys.argv[1:] == ["forked"]:
    forked_from_a_worker()
else:
    main()
