"""Payloads of what agents do meanwhile: steps, model calls, tools, flows, people and guardrails."""

from contracts.payloads.base import Count, Failure, Json, Milliseconds, Payload


class AgentStarted(Payload):
    """An agent began to work on a task."""

    role: str | None = None
    tools: list[str] | None = None
    prompt_chars: Count | None = None


class AgentCompleted(Payload):
    """An agent finished its work on a task."""

    role: str | None = None
    result: Json = None
    duration_ms: Milliseconds | None = None


class AgentFailed(Failure):
    """An agent could not finish its work on a task."""

    role: str | None = None


class AgentStep(Payload):
    """One turn of an agent's loop."""

    role: str | None = None
    step: Count | None = None
    thought: str | None = None


class LlmCallStarted(Payload):
    """A model was asked."""

    call_id: str | None = None
    model: str | None = None
    prompt_chars: Count | None = None
    messages: Json = None


class LlmCallCompleted(Payload):
    """A model answered."""

    call_id: str | None = None
    model: str | None = None
    response: Json = None
    finish_reason: str | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    duration_ms: Milliseconds | None = None


class LlmCallFailed(Failure):
    """A model did not answer."""

    call_id: str | None = None
    model: str | None = None


class LlmChunk(Payload):
    """A piece of a streamed answer; ``text`` may join several chunks of one call."""

    text: str
    call_id: str | None = None
    chunks: Count | None = None
    """How many chunks are joined in ``text``."""


class ToolStarted(Payload):
    """A tool was called."""

    tool: str
    arguments: Json = None
    attempt: Count | None = None


class ToolFinished(Payload):
    """A tool returned."""

    tool: str
    result: Json = None
    from_cache: bool | None = None
    duration_ms: Milliseconds | None = None


class ToolFailed(Failure):
    """A tool raised, or reported that it failed."""

    tool: str
    attempt: Count | None = None


class FlowStarted(Payload):
    """A flow began."""

    name: str | None = None


class FlowCompleted(Payload):
    """A flow ended well."""

    name: str | None = None
    result: Json = None


class FlowFailed(Failure):
    """A flow ended badly."""

    name: str | None = None


class FlowPaused(Payload):
    """A flow waits for something outside."""

    name: str | None = None
    method: str | None = None


class FlowMethodStarted(Payload):
    """A method of a flow began."""

    name: str | None = None
    method: str


class FlowMethodCompleted(Payload):
    """A method of a flow ended well."""

    name: str | None = None
    method: str
    result: Json = None


class FlowMethodFailed(Failure):
    """A method of a flow ended badly."""

    name: str | None = None
    method: str


class HumanInputRequested(Payload):
    """A crew waits for a person."""

    prompt: str | None = None


class HumanInputReceived(Payload):
    """A person answered."""

    feedback: str | None = None


class GuardrailStarted(Payload):
    """A guardrail checks a result."""

    guardrail: str | None = None
    attempt: Count | None = None


class GuardrailPassed(Payload):
    """A result was accepted."""

    guardrail: str | None = None
    attempt: Count | None = None


class GuardrailFailed(Failure):
    """A result was refused."""

    guardrail: str | None = None
    attempt: Count | None = None
