"""A server with a stream for the worker shore, and processes with the real CrewAI.

The server is not the one that the other tests share: these kill theirs, and no two streams may overlap.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.crew.crewai_process import CrewProcess, interpreter
from tests.nats_server import NatsServer


@pytest.fixture(scope="session")
def stream_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the stream, for all tests that leave it alone."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    asyncio.run(server.make_stream())
    yield server.url
    server.stop()


@pytest.fixture
def mortal_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server for one test, not started."""
    directory = tmp_path / "nats"
    directory.mkdir()
    server = NatsServer(directory)
    yield server
    server.stop()


@pytest.fixture
def source() -> str:
    """Marks one test's events."""
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def crewai_python() -> str:
    """The interpreter that has the newest CrewAI."""
    return interpreter("CREW_BRIDGE_CREWAI_PYTHON", ".venv-crewai")


@pytest.fixture(scope="session")
def old_crewai_python() -> str:
    """The interpreter that has CrewAI 1.14.7, which knows no execution ids."""
    return interpreter("CREW_BRIDGE_CREWAI_OLD_PYTHON", ".venv-crewai-1.14.7")


@pytest.fixture
def crew_process(crewai_python: str, tmp_path: Path) -> CrewProcess:
    """Scenarios with the newest CrewAI."""
    return CrewProcess(crewai_python, tmp_path)
