"""The context of an event: what is known about it besides what it says."""

from collections.abc import Hashable
from typing import NamedTuple

from bridge.crew.executions import Run
from bridge.crew.identity import Ids


class Context(NamedTuple):
    """What is known about an event besides what it says."""

    execution: str | None
    ids: Ids
    parent: str | None
    elapsed_ms: float | None = None
    """Since the event that this one ends; None if it ends nothing that is known."""
    begins: bool = False
    """Whether the execution begins with it."""
    ends: bool = False
    """Whether the execution ends with it."""
    first: bool = False
    """Whether it is the first kickoff of a crew that this process sees."""
    resumes: bool = False
    """Whether it is a flow that goes on after a pause."""
    run: Run | None = None
    """The kickoff of its crew."""
    step: int = 0
    """Which turn of its task it is, for an answer of a model."""
    is_attempt: bool = False
    """Whether it is of an attempt at a tool's call only, and neither begins nor ends the call."""
    settles: bool = False
    """Whether somebody may look for what was recorded up to here: an execution or a turn ends, or pauses."""
    waits_for: Hashable = None
    """The kickoff that it only announces: the ``id()`` of a flow, or CrewAI's name for the execution."""
