"""Publishers that write down what was acknowledged."""

import asyncio
from random import Random
from typing import Any

from bridge.crew import EventPublisher
from contracts import WebSocketEvent, create_event, create_task_event


class Crew:
    """Publishes numbered events of one execution, one after the other."""

    def __init__(self, nats_url: str, execution_id: str, crew_id: str, random: Random) -> None:
        self._nats_url = nats_url
        self.execution_id = execution_id
        self._crew_id = crew_id
        self._random = random
        self.acked: list[str] = []
        """The ids of the events that the stream has, in order."""

    async def work(self, per_second: float, stop: asyncio.Event) -> None:
        """Publish until told to stop; what was begun is brought to its end."""
        async with EventPublisher(self._nats_url) as publisher:
            while not stop.is_set():
                event = self._event(len(self.acked))
                await publisher.publish(event)
                self.acked.append(event.event_id)
                await asyncio.sleep(self._random.expovariate(per_second))

    def _event(self, number: int) -> WebSocketEvent:
        ids: dict[str, Any] = {"execution_id": self.execution_id, "crew_id": self._crew_id}
        task = f"t{number}"
        match self._random.randrange(5):
            case 0:
                return create_task_event(task, "failed", error="no" * self._random.randrange(200), **ids)
            case 1:
                return create_event("llm.call_completed", response="x" * self._random.randrange(900), **ids)
            case 2:
                return create_event("llm.chunk", text="x" * self._random.randrange(100), **ids)
            case 3:
                return create_task_event(task, "progress", progress=0.5, **ids)
            case _:
                return create_task_event(task, "completed", result="x" * self._random.randrange(900), **ids)
