"""Payloads of what surrounds the work: memory, system, connections, and what crews and agents are."""

from typing import Literal

from contracts.payloads.base import Count, Failure, Json, Milliseconds, Payload, Rate, Seconds


class MemoryStored(Payload):
    """Something was written to memory."""

    memory_type: str | None = None
    key: str | None = None
    value: Json = None
    duration_ms: Milliseconds | None = None


class MemoryRetrieved(Payload):
    """Memory was asked, and answered."""

    memory_type: str | None = None
    query: str | None = None
    results: Count | None = None
    """How many entries were found."""
    duration_ms: Milliseconds | None = None


class MemoryUpdated(Payload):
    """An entry of memory changed."""

    memory_type: str | None = None
    key: str | None = None
    value: Json = None


class MemoryCleared(Payload):
    """Memory was emptied."""

    memory_type: str | None = None
    removed: Count | None = None


class SystemStartup(Payload):
    """A component started."""

    component: str | None = None
    version: str | None = None


class SystemShutdown(Payload):
    """A component stopped."""

    component: str | None = None
    reason: str | None = None


class SystemError(Payload):  # noqa: A001 - named after its type, system.error
    """Something went wrong outside of any task."""

    error: str
    component: str | None = None
    lost: Count | None = None
    """Events that will never arrive."""


class SystemHealthCheck(Payload):
    """A component says how it is."""

    status: Literal["ok", "degraded", "down"]
    component: str | None = None
    metrics: dict[str, Json] | None = None
    instance: str | None = None
    """Which bridge or worker."""
    version: str | None = None
    uptime_seconds: Seconds | None = None

    active_connections: Count | None = None
    live_connections: Count | None = None
    """Those at the head of the log; the others read on at their own pace."""
    events_in: Count | None = None
    """Since the start, as all that has no unit of time in its name."""
    events_delivered: Count | None = None
    messages_sent: Count | None = None
    bytes_sent: Count | None = None
    events_in_per_second: Rate | None = None
    """Since the check before, as all that follows."""
    events_delivered_per_second: Rate | None = None
    cpu_share: Rate | None = None
    """Of one core."""
    event_age_p99_ms: Milliseconds | None = None
    """From the stream to the last browser of a group; absent where nothing was delivered."""
    loop_delay_p99_ms: Milliseconds | None = None

    feed_lag: Count | None = None
    """Messages that the stream holds beyond what the bridge has read."""
    feed_lag_seconds: Seconds | None = None
    log_events: Count | None = None
    log_bytes: Count | None = None

    published: Count | None = None
    """Messages that a worker has put into the stream, since its start."""
    lost: Count | None = None
    """Messages of a worker that will never arrive."""
    waiting: Count | None = None
    """Messages in a worker's memory."""
    on_disk: Count | None = None
    """Messages in a worker's spool."""


class SystemAdminAction(Payload):
    """An operator changed something, or tried to."""

    component: str | None = None
    action: str
    target: str | None = None
    """Whom or what it concerned: a client, a subscription."""
    outcome: str
    """``done``, or the code of the refusal."""
    instance: str | None = None
    """The bridge that was asked."""
    principal: str | None = None
    """Who asked, as far as that was proven."""
    parameters: dict[str, Json] | None = None


class ConnectionEstablished(Payload):
    """A client connected; the first message on every connection."""

    client_id: str
    endpoint: str | None = None
    epoch: str | None = None
    head: Count | None = None
    """The newest ``seq`` of the log."""
    cursor: Count | None = None
    """Everything up to this ``seq`` lies behind this connection: what follows is newer."""
    position: str | None = None
    """The same, to come back with; absent for a connection that has far to read."""
    subscriptions: list[str] | None = None
    heartbeat_seconds: float | None = None
    resumable: bool | None = None
    recovery: Json = None


class ConnectionLost(Payload):
    """A client's connection ended."""

    client_id: str
    code: int | None = None
    reason: str | None = None
    duration_ms: Milliseconds | None = None


class ConnectionHeartbeat(Payload):
    """The connection is alive; ``position`` is where to resume from."""

    epoch: str | None = None
    head: Count | None = None
    cursor: Count | None = None
    position: str | None = None


class CrewCreated(Payload):
    """A crew exists: what it is made of."""

    name: str | None = None
    process: str | None = None
    """``sequential`` or ``hierarchical``."""
    agents: list[Json] | None = None
    tasks: list[Json] | None = None


class CrewUpdated(Payload):
    """A crew was changed."""

    name: str | None = None
    changes: dict[str, Json] | None = None


class CrewDeleted(Payload):
    """A crew is gone."""

    name: str | None = None


class CrewStarted(Payload):
    """A crew began to work within a larger execution, a flow for example."""

    name: str | None = None
    inputs: dict[str, Json] | None = None
    total_tasks: Count | None = None


class CrewCompleted(Payload):
    """A crew within a larger execution ended well."""

    name: str | None = None
    result: Json = None
    duration_ms: Milliseconds | None = None
    total_tokens: Count | None = None


class CrewFailed(Failure):
    """A crew within a larger execution ended badly."""

    name: str | None = None


class AgentCreated(Payload):
    """An agent exists: who it is."""

    role: str | None = None
    goal: str | None = None
    model: str | None = None
    tools: list[str] | None = None


class AgentUpdated(Payload):
    """An agent was changed."""

    role: str | None = None
    changes: dict[str, Json] | None = None


class AgentDeleted(Payload):
    """An agent is gone."""

    role: str | None = None
