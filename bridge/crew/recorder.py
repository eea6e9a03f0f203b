"""The recorder: from an event that CrewAI emitted to what the outbox holds, on the thread that emitted it.

It never raises and never waits, except for the one bounded wait at the end of an execution.
"""

import logging
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.crew.answers import Chunk
from bridge.crew.content import text_of
from bridge.crew.context import Context
from bridge.crew.derive import Derived, Deriver
from bridge.crew.draft import Draft, Policy, own_id, own_names
from bridge.crew.executions import KICKOFFS
from bridge.crew.identity import NOBODY, identifier, is_internal
from bridge.crew.journal import Journal
from bridge.crew.ledger import Ledger
from bridge.crew.mapping import TABLE, row_for_unknown
from bridge.crew.mapping.page import Page
from contracts.types import EventPriority, default_priority

log = logging.getLogger(__name__)

_CHUNKS: Final = {"llm_stream_chunk": "text", "llm_thinking_chunk": "thinking"}
_NOISE: Final = frozenset({"default_env"})
_OF_FLOWS: Final = ("flow_", "method_execution_", "conversation_")
_NOWHERE: Final = Context(None, NOBODY, None)
_MAX_ANNOUNCED: Final = 1_000


@dataclass(slots=True)
class Recorder:
    """Records what CrewAI emits."""

    ledger: Ledger
    journal: Journal
    policy: Policy
    at_end: Callable[[], object]
    """Called when an execution has ended, or pauses, and everything of it is queued."""
    failures: int = 0
    """Events that could not be recorded."""
    _derive: Deriver = field(init=False)
    _announced: dict[Hashable, list[Draft]] = field(default_factory=dict)
    """What was said of kickoffs that have not begun yet, by what `Context.waits_for` says."""

    def __post_init__(self) -> None:
        self._derive = Deriver(self.policy.content)

    def record(self, source: Any, event: Any) -> None:
        """Take note of an event; what goes wrong is counted and logged, and no concern of the crew's."""
        try:
            if event.type in _CHUNKS:
                self._chunk(source, event)
            elif _is_noise(source, event):
                self.ledger.pass_over(source, event)
            else:
                self._event(source, event)
        except Exception as error:
            self.failures += 1
            log.debug("could not record %s", type(event).__name__, exc_info=True)
            self._unreadable(event, type(error).__name__)

    def _unreadable(self, event: Any, error: str) -> None:
        """That there was an event at least, if even its name can be read."""
        with suppress(Exception):
            event_type = row_for_unknown(event.type).event_type(event, _NOWHERE)
            draft = Draft(
                own_id(event), event_type, default_priority(event_type), {"unreadable": error},
                timestamp=event.timestamp, crewai=own_names(event),
            )  # fmt: skip
            self.journal.write(self.ledger.execution_of(event), [draft])

    def end_open_runs(self, reason: str) -> None:
        """Close every execution that is still open: with ``execution.failed``, unless it only idles."""
        self.publish_announcements()
        for execution, run, is_idle in self.ledger.open_runs():
            event_type = "execution.completed" if is_idle else "execution.failed"
            data = {} if is_idle else {"error": reason, "error_type": "ProcessEnded"}
            draft = Draft(
                f"{identifier(run.event_id)}:{event_type}", event_type, default_priority(event_type),
                data, run.ids, identifier(run.event_id),
            )  # fmt: skip
            self.journal.end(execution, draft)

    def publish_announcements(self) -> None:
        """Queue what was said of kickoffs to come, and wait for those no longer."""
        for waits_for in tuple(self._announced):
            self._give_up_on(waits_for)

    def _event(self, source: Any, event: Any) -> None:
        context = self.ledger.observe(source, event)
        if context.waits_for is not None:
            if event.type == "flow_created":
                self._give_up_on(context.waits_for)  # Of an earlier flow in the same place of memory.
            self._announce(context.waits_for, self._direct(source, event, context))
            return
        before = self._all(event, context, self._derive.before(source, event, context))
        direct = self._direct(source, event, context)
        after = self._all(event, context, self._derive.after(source, event, context))
        announced = self._announcements(source, event, context) if event.type in KICKOFFS else []
        is_beginning = context.begins and not before
        drafts = [direct, *announced] if is_beginning else [*before, *announced, direct]
        self.journal.write(context.execution, [*drafts, *after])
        if context.settles:
            self.at_end()

    def _give_up_on(self, waits_for: Hashable) -> None:
        drafts = self._announced.pop(waits_for, [])
        self.journal.write(waits_for if isinstance(waits_for, str) else None, drafts)

    def _announce(self, waits_for: Hashable, draft: Draft) -> None:
        self._announced.setdefault(waits_for, []).append(draft)
        if len(self._announced) > _MAX_ANNOUNCED:
            self.publish_announcements()

    def _announcements(self, source: Any, event: Any, context: Context) -> list[Draft]:
        """What waited for a kickoff, which has now begun."""
        of_flow = self._announced.pop(id(source), ()) if event.type == "flow_started" else ()
        return [*of_flow, *self._announced.pop(context.execution, ())]

    def _direct(self, source: Any, event: Any, context: Context) -> Draft:
        row = TABLE.get(event.type) or row_for_unknown(event.type)
        event_type = row.event_type(event, context)
        data = row.write(Page(source, event, context, self.policy.content))
        return Draft(
            own_id(event), event_type, default_priority(event_type), data, context.ids,
            identifier(context.parent), event.timestamp, own_names(event),
        )  # fmt: skip

    def _all(self, event: Any, context: Context, found: Iterable[Derived]) -> list[Draft]:
        """What could be derived; trouble with that is no reason to lose the event itself."""
        drafts: list[Draft] = []
        try:
            drafts.extend(self._derived(event, each, context) for each in found)
        except Exception:
            self.failures += 1
            log.debug("could not derive from %s", type(event).__name__, exc_info=True)
        return drafts

    def _derived(self, event: Any, found: Derived, context: Context) -> Draft:
        return Draft(
            f"{own_id(event)}:{found.event_type}{found.suffix}", found.event_type,
            default_priority(found.event_type), found.data, found.ids, identifier(context.parent),
            event.timestamp, own_names(event),
        )  # fmt: skip

    def _chunk(self, source: Any, event: Any) -> None:
        execution = self.ledger.execution_of(event)
        kind = _CHUNKS[event.type]
        text = event.chunk if isinstance(event.chunk, str) else text_of(event.chunk)
        self.journal.chunk(
            execution,
            f"{event.call_id}/{kind}",
            Chunk(text, event),
            lambda: self._first_chunk(source, event, kind),
        )

    def _first_chunk(self, source: Any, event: Any, kind: str) -> Draft:
        context = self.ledger.glance(source, event)
        data = {"text": "", "call_id": str(event.call_id), "kind": kind}
        return Draft(
            own_id(event), "llm.chunk", EventPriority.LOW, data, context.ids, identifier(context.parent),
            event.timestamp, own_names(event),
        )  # fmt: skip


def _is_noise(source: Any, event: Any) -> bool:
    """What CrewAI's own machinery does with flows, and what the environment is."""
    if event.type in _NOISE:
        return True
    return event.type.startswith(_OF_FLOWS) and is_internal(source)
