"""Calls of tools: which of CrewAI's events tells how one ended, and which only of an attempt at it.

By CrewAI's text protocol a call of a tool that fails is tried again, up to three times, each time from its
start; a tool that is not there is looked for up to six times. Newer versions say once more at the end that
the call has failed, by whatever protocol.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple
from weakref import ref

from bridge.crew.context import Context
from bridge.crew.identity import attribute

_MAX_CALLS: Final = 1_000
"""Beyond this the oldest is forgotten: a call may have no end."""
_NEVER_STARTED: Final = frozenset({"tool_selection_error", "tool_validate_input_error"})
_OF_CALLS: Final = _NEVER_STARTED | {
    "tool_usage_started", "tool_usage_finished", "tool_usage_error", "tool_failure_detected",
}  # fmt: skip

_Tool = tuple[str | None, str]
"""An agent, and the name of a tool of its."""


class _Call(NamedTuple):
    source: Callable[[], Any]
    event_id: str
    since: datetime
    has_started: bool


class Calls:
    """The calls that are open, and those of which it is known that they failed."""

    def __init__(self) -> None:
        self._open: dict[int, _Call] = {}
        """By the ``id()`` of what makes the call: by the text protocol one thing for each."""
        self._failed: dict[_Tool, int] = {}
        """How many have been told, and are yet to be detected as well."""

    def follow(self, source: Any, event: Any, context: Context) -> Context:
        """The context of an event, with what follows from its being of a tool."""
        if event.type not in _OF_CALLS:
            return context
        if event.type == "tool_usage_started":
            return self._started(source, event, context)
        tool = (context.ids.agent, "_".join(str(event.tool_name).lower().split()))
        if event.type == "tool_failure_detected":
            return context._replace(is_attempt=self._was_told(tool))
        if event.type in _NEVER_STARTED:
            return self._not_started(source, event, context, tool)
        return self._ended(source, event, context, tool)

    def _started(self, source: Any, event: Any, context: Context) -> Context:
        call = self._call(source)
        if call is not None and call.has_started and _attempts(event) > 1:
            return context._replace(is_attempt=True, parent=call.event_id)
        self._note(source, event, has_started=True)
        return context

    def _ended(self, source: Any, event: Any, context: Context, tool: _Tool) -> Context:
        call = self._call(source)
        most = attribute(source, "_max_parsing_attempts")
        if event.type == "tool_usage_error" and isinstance(most, int) and 0 < _attempts(event) < most:
            return context._replace(is_attempt=True, parent=call.event_id if call else context.parent)
        if call is not None and context.elapsed_ms is not None:
            elapsed = (event.timestamp - call.since).total_seconds() * 1000
            context = context._replace(elapsed_ms=max(elapsed, context.elapsed_ms))
        self._open.pop(id(source), None)
        if event.type == "tool_usage_error" or attribute(event, "failure") is not None:
            self._tell(tool)
        return context

    def _not_started(self, source: Any, event: Any, context: Context, tool: _Tool) -> Context:
        """Tried again it fails as it did: the first says it, for older versions say nothing at the end."""
        call = self._call(source)
        if call is not None:
            return context._replace(is_attempt=True, parent=call.event_id)
        self._note(source, event, has_started=False)
        self._tell(tool)
        return context

    def _call(self, source: Any) -> _Call | None:
        call = self._open.get(id(source))
        return call if call is not None and call.source() is source else None

    def _note(self, source: Any, event: Any, *, has_started: bool) -> None:
        self._open.pop(id(source), None)
        self._open[id(source)] = _Call(_reference(source), event.event_id, event.timestamp, has_started)
        if len(self._open) > _MAX_CALLS:
            del self._open[next(iter(self._open))]

    def _tell(self, tool: _Tool) -> None:
        self._failed[tool] = self._failed.get(tool, 0) + 1
        if len(self._failed) > _MAX_CALLS:
            del self._failed[next(iter(self._failed))]

    def _was_told(self, tool: _Tool) -> bool:
        left = self._failed.pop(tool, 0) - 1
        if left > 0:
            self._failed[tool] = left
        return left >= 0


def _reference(source: Any) -> Callable[[], Any]:
    """What tells ``source`` from another that has taken its place in memory."""
    try:
        return ref(source)
    except TypeError:
        return _nothing


def _nothing() -> None:
    """For what cannot be referred to."""


def _attempts(event: Any) -> int:
    attempts = attribute(event, "run_attempts")
    return attempts if isinstance(attempts, int) else 0
