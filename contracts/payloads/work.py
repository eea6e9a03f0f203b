"""Payloads of the work itself: executions, tasks, their manager and their queue."""

from contracts.payloads.base import Count, Failure, Fraction, Json, Milliseconds, Payload


class ExecutionStarted(Payload):
    """A run of a crew or flow began."""

    name: str | None = None
    inputs: dict[str, Json] | None = None
    total_tasks: Count | None = None


class ExecutionCompleted(Payload):
    """A run ended well."""

    result: Json = None
    duration_ms: Milliseconds | None = None
    total_tokens: Count | None = None


class ExecutionFailed(Failure):
    """A run ended badly."""


class ExecutionProgress(Payload):
    """How far a run is."""

    progress: Fraction
    completed_tasks: Count | None = None
    total_tasks: Count | None = None
    message: str | None = None


class TaskAssigned(Payload):
    """A task was given to an agent and begins."""

    name: str | None = None
    description: str | None = None
    expected_output: str | None = None
    agent: str | None = None
    """The agent's role."""


class TaskCompleted(Payload):
    """A task ended well."""

    name: str | None = None
    result: Json = None
    duration_ms: Milliseconds | None = None


class TaskFailed(Failure):
    """A task ended badly."""

    name: str | None = None


class TaskProgress(Payload):
    """A task moved on; ``progress`` is absent where nobody knows how much is left."""

    progress: Fraction | None = None
    step: Count | None = None
    message: str | None = None


class ManagerDelegationStarted(Payload):
    """A manager, or an agent, handed work to a coworker."""

    to_agent: str | None = None
    """The coworker's role."""
    task: str | None = None
    context: str | None = None


class ManagerCoordinationUpdate(Payload):
    """A manager talks to its crew: a question, an answer, a state."""

    to_agent: str | None = None
    message: str | None = None


class ManagerDecisionMade(Payload):
    """A manager decided what happens next."""

    decision: str | None = None
    reason: str | None = None


class QueueTaskAdded(Payload):
    """Work was put into a queue."""

    queue: str | None = None
    size: Count | None = None
    """How many wait in the queue after this."""


class QueueTaskProcessed(Payload):
    """Work was taken out of a queue and done."""

    queue: str | None = None
    size: Count | None = None
    duration_ms: Milliseconds | None = None


class QueueTaskFailed(Failure):
    """Work from a queue failed."""

    queue: str | None = None
    attempt: Count | None = None


class QueueCleared(Payload):
    """A queue was emptied."""

    queue: str | None = None
    removed: Count | None = None
