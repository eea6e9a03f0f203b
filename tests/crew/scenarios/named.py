"""A worker whose executions have names chosen beforehand: one crew for each argument."""

import os
import sys
from pathlib import Path

from crewai import Crew
from crewai.execution import set_execution_uuid

from bridge.crew import install
from tests.crew.scenarios.offline import DONE, GroundTruth, agent, break_down, look_up, model, task, use


def work(execution_id: str) -> None:
    answers = (use("look_up", topic="tides"), DONE, use("break_down", topic="moons"), DONE)
    worker = agent(model(*answers, stream=True), tools=[look_up, break_down])
    set_execution_uuid(execution_id)
    Crew(agents=[worker], tasks=[task("tides", worker), task("moons", worker)], name="Sea").kickoff()


def main() -> None:
    truth = GroundTruth()
    install(os.environ["NATS_URL"], source=os.environ["SOURCE"], spool_directory=Path(os.environ["SPOOL"]))
    for execution_id in sys.argv[1:]:
        with truth.during(execution_id):
            work(execution_id)
    truth.save()


main()
