"""What browsers subscribe to, and what of the stream that is: told without the code that is tested."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

Body = dict[str, Any]
"""An event as it was published."""
Wants = Callable[[Body], bool]


@dataclass(frozen=True)
class View:
    """An endpoint with its query, what is subscribed there, and which events that means."""

    endpoint: str
    wants: Wants
    query: dict[str, str] = field(default_factory=dict)
    subscriptions: tuple[str, ...] = ()


def everything(_: Body) -> bool:
    """What ``global`` wants."""
    return True


def of_execution(execution_id: str) -> View:
    """One execution."""
    return View(f"executions/{execution_id}", lambda body: body.get("execution_id") == execution_id)


def random_view(random: Random, executions: list[str], crews: list[str]) -> View:
    """Any kind of view, more often narrow ones."""
    execution, other = random.sample(executions, 2)
    crew = random.choice(crews)
    batch = {"batch": "1"} if random.random() < 0.2 else {}
    return random.choice(
        [
            of_execution(execution),
            View(f"executions/{execution}", lambda body: body.get("execution_id") == execution, batch),
            View(
                f"executions/{execution}",
                lambda body: body.get("execution_id") == execution and body["event_type"] == "task.completed",
                {"types": "task.completed"},
            ),
            View(f"crews/{crew}", lambda body: body.get("crew_id") == crew, batch),
            View("global", everything, batch),
            View("global", lambda body: body["event_type"].startswith("llm."), {"types": "llm.*"} | batch),
            View(
                "global",
                lambda body: body["priority"] in ("high", "critical"),
                {"min_priority": "high"} | batch,
            ),
            View(
                "custom",
                lambda body: body.get("execution_id") in (execution, other),
                batch,
                (f"execution_{execution}", f"execution_{other}"),
            ),
            View(
                "custom",
                lambda body: (
                    body.get("execution_id") == execution
                    or (body["event_type"].startswith("llm.") and body.get("crew_id") == crew)
                ),
                batch,
                (f"execution_{execution}", f"llm.*.{crew}.*"),
            ),
            View("custom", lambda body: body["event_type"].startswith("task."), batch, ("task_updates",)),
        ]
    )
