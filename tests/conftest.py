"""One real nats-server for the whole run, and real bridges on it; tests are told apart by fresh ids."""

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from bridge.config import Settings
from bridge.crew import EventPublisher
from bridge.service import Running, running
from tests.client import Client
from tests.nats_server import NatsServer

StartBridge = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> None:
    """The variables of whoever runs the tests mean nothing to them."""
    for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
        del os.environ[name]


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """A background job of a shell ignores Ctrl-C, and so would the processes that tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that no test stops; the first bridge makes the stream."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def new_id() -> str:
    """An id that no other test uses."""
    return uuid4().hex


@pytest.fixture
def start_bridge(nats_url: str) -> StartBridge:
    """Starts bridges in this process, with settings by name: ``heartbeat_seconds=0.1``."""

    @asynccontextmanager
    async def start(**settings: Any) -> AsyncIterator[Client]:
        given: dict[str, Any] = {"nats_url": nats_url, "port": 0, "health_seconds": 0} | settings
        chosen = Settings(**given)
        async with running(chosen) as bridge:
            yield await Client.of(bridge)

    return start


@pytest.fixture
async def bridge(start_bridge: StartBridge) -> AsyncIterator[Client]:
    """A bridge as it is by default, ready."""
    async with start_bridge() as client:
        yield client


@pytest.fixture
async def publisher(nats_url: str) -> AsyncIterator[EventPublisher]:
    """Publishes with acknowledgement."""
    async with EventPublisher(nats_url) as publisher:
        yield publisher


__all__ = ["Client", "Running", "StartBridge"]
