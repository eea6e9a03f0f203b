"""A flow that waits for a person: ``pause`` begins it and prints its id, ``resume <id>`` goes on with it.

``both`` begins it and goes on to its end in one process.
"""

# CrewAI is not there when types are checked: its classes and decorators are of any type.
# mypy: disable-error-code="misc, untyped-decorator"

import contextvars
import os
import sys
from pathlib import Path
from typing import Any

from crewai.flow import human_feedback
from crewai.flow.async_feedback import HumanFeedbackPending
from crewai.flow.flow import Flow, listen, start
from crewai.flow.persistence import SQLiteFlowPersistence

from bridge.crew import install
from tests.crew.scenarios.offline import GroundTruth, model, simple_crew


class Browser:
    """A provider whose answer comes from elsewhere."""

    def request_feedback(self, context: Any, flow: Any) -> str:
        raise HumanFeedbackPending(context=context, callback_info={})


class Draft(Flow):
    """Asks twice."""

    @start()
    @human_feedback(
        message="Is it good?", emit=["yes", "no"], llm=model(), default_outcome="yes", provider=Browser()
    )
    def write(self) -> str:
        return str(simple_crew().kickoff().raw)

    @listen("yes")
    @human_feedback(message="Shall it be sent?", provider=Browser())
    def send(self) -> str:
        return "the letter"

    @listen(send)
    def close(self, before: Any) -> str:
        return "sent"


def persistence() -> Any:
    return SQLiteFlowPersistence(str(Path(os.environ["SPOOL"]).parent / "flows.db"))


def pause() -> str:
    pending = Draft(persistence=persistence()).kickoff()
    return str(pending.context.flow_id)


def resume(flow_id: str) -> None:
    Draft.from_pending(flow_id, persistence()).resume("")


def main() -> None:
    truth = GroundTruth()
    spool = Path(os.environ["SPOOL"])
    tap = install(os.environ["NATS_URL"], source=os.environ["SOURCE"], spool_directory=spool)
    command, *arguments = sys.argv[1:]
    if command == "resume":
        resume(*arguments)
    else:
        flow_id = contextvars.Context().run(pause)
        sys.stdout.write(f"\n{flow_id}\n")
        if command == "both":
            contextvars.Context().run(resume, flow_id)
            contextvars.Context().run(resume, flow_id)
    tap.flush(10)
    truth.save()


main()
