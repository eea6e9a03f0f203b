"""Payloads of what crews reach out to: knowledge, plans, MCP servers and remote agents."""

from contracts.payloads.base import Count, Failure, Json, Milliseconds, Payload


class KnowledgeQueryStarted(Payload):
    """An agent prepares a question to its knowledge."""

    prompt_chars: Count | None = None


class KnowledgeQueryCompleted(Payload):
    """The question to the knowledge is written."""

    query: str | None = None
    duration_ms: Milliseconds | None = None


class KnowledgeQueryFailed(Failure):
    """The question to the knowledge could not be written."""


class KnowledgeSearchStarted(Payload):
    """Knowledge is searched."""


class KnowledgeSearchCompleted(Payload):
    """Knowledge was searched, and answered."""

    query: str | None = None
    result: Json = None
    duration_ms: Milliseconds | None = None


class KnowledgeSearchFailed(Failure):
    """The search did not answer."""

    query: str | None = None


class PlanStarted(Payload):
    """An agent began to plan."""

    role: str | None = None
    attempt: Count | None = None


class PlanCompleted(Payload):
    """An agent has a plan."""

    role: str | None = None
    plan: Json = None
    ready: bool | None = None
    attempt: Count | None = None
    duration_ms: Milliseconds | None = None


class PlanFailed(Failure):
    """An agent could not plan."""

    role: str | None = None
    attempt: Count | None = None


class PlanStepStarted(Payload):
    """A step of a plan began."""

    step: Count | None = None
    description: str | None = None
    tool: str | None = None


class PlanStepCompleted(Payload):
    """A step of a plan ended; ``success`` says how."""

    step: Count | None = None
    description: str | None = None
    success: bool | None = None
    result: Json = None
    error: str | None = None


class PlanObservationStarted(Payload):
    """The result of a step is judged."""

    step: Count | None = None


class PlanObservationCompleted(Payload):
    """The result of a step was judged."""

    step: Count | None = None
    success: bool | None = None
    learned: str | None = None
    replan: bool | None = None


class PlanObservationFailed(Failure):
    """The result of a step could not be judged; the plan goes on."""

    step: Count | None = None


class PlanRefined(Payload):
    """The steps to come were made more precise."""

    step: Count | None = None
    refined: Count | None = None


class PlanReplaced(Payload):
    """The plan was given up for a new one."""

    step: Count | None = None
    reason: str | None = None


class PlanGoalAchieved(Payload):
    """The goal was reached before the plan's end."""

    completed: Count | None = None
    remaining: Count | None = None


class McpConnectionStarted(Payload):
    """An MCP server is being connected."""

    server: str | None = None
    transport: str | None = None


class McpConnectionCompleted(Payload):
    """An MCP server is connected."""

    server: str | None = None
    transport: str | None = None
    duration_ms: Milliseconds | None = None


class McpConnectionFailed(Failure):
    """An MCP server could not be connected."""

    server: str | None = None
    transport: str | None = None


class McpToolStarted(Payload):
    """A tool of an MCP server was called."""

    tool: str
    server: str | None = None
    arguments: Json = None


class McpToolFinished(Payload):
    """A tool of an MCP server returned."""

    tool: str
    server: str | None = None
    result: Json = None
    duration_ms: Milliseconds | None = None


class McpToolFailed(Failure):
    """A tool of an MCP server failed."""

    tool: str
    server: str | None = None


class McpConfigFailed(Failure):
    """The configuration of an MCP server could not be had."""

    server: str | None = None


class A2aDelegationStarted(Payload):
    """Work was handed to a remote agent."""

    to_agent: str | None = None
    endpoint: str | None = None
    task: str | None = None


class A2aDelegationCompleted(Payload):
    """A remote agent is done; ``status`` says how."""

    to_agent: str | None = None
    status: str | None = None
    result: Json = None
    error: str | None = None


class A2aConversationStarted(Payload):
    """A conversation with a remote agent began."""

    to_agent: str | None = None
    endpoint: str | None = None


class A2aConversationCompleted(Payload):
    """A conversation with a remote agent ended; ``status`` says how."""

    to_agent: str | None = None
    status: str | None = None
    turns: Count | None = None
    result: Json = None
    error: str | None = None


class A2aMessageSent(Payload):
    """A remote agent was told something."""

    to_agent: str | None = None
    turn: Count | None = None
    message: str | None = None


class A2aResponseReceived(Payload):
    """A remote agent answered."""

    to_agent: str | None = None
    turn: Count | None = None
    status: str | None = None
    response: Json = None


class A2aTaskStarted(Payload):
    """This process began a task for a remote agent."""


class A2aTaskCompleted(Payload):
    """This process completed a task for a remote agent."""

    result: Json = None


class A2aTaskFailed(Failure):
    """This process failed at a task for a remote agent."""


class A2aTaskCanceled(Payload):
    """A remote agent took its task back."""


class A2aConnectionFailed(Failure):
    """A remote agent could not be reached."""

    to_agent: str | None = None
    endpoint: str | None = None
