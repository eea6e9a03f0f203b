"""What CrewAI did in many modes, and what the stream holds of it."""

import asyncio
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.crew.crewai_process import CrewProcess
from tests.crew.stored import Stored, everything


@dataclass(frozen=True)
class Run:
    """All modes in one process, since starting CrewAI takes seconds."""

    emitted: list[dict[str, Any]]
    stored: list[Stored]

    def mode(self, name: str) -> "Run":
        """What belongs to one mode."""
        emitted = [event for event in self.emitted if event["mode"] == name]
        ids = {event["event_id"] for event in emitted}
        return Run(emitted, [message for message in self.stored if message.crewai.get("event_id") in ids])

    def types(self) -> list[str]:
        return [message.type for message in self.stored]

    def data(self, event_type: str) -> list[dict[str, Any]]:
        return [message.event["data"] for message in self.stored if message.type == event_type]

    def executions(self) -> list[list[str]]:
        """The types of each execution's events, in their order; those without an execution are left out."""
        found: dict[str, list[str]] = defaultdict(list)
        for message in self.stored:
            if execution := message.event.get("execution_id"):
                found[execution].append(message.type)
        return list(found.values())


def run_modes(python: str, url: str, home: Path, *arguments: str, scenario: str = "modes") -> Run:
    """Run modes of a scenario, all of them or those that are named."""
    process = CrewProcess(python, home)
    source = f"{scenario}-{uuid4().hex[:8]}"
    process.run(scenario, *arguments, nats_url=url, source=source)
    return Run(json.loads(process.truth.read_text()), asyncio.run(everything(url, source)))
