"""Python processes in CrewAI's own environment: offline, quiet, with a home of their own."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUIET = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TESTING": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "OPENAI_API_KEY": "not-a-key",
    "OTEL_SDK_DISABLED": "true",
}


def interpreter(variable: str, directory: str) -> str:
    """The Python that has CrewAI; without it tests are skipped, in CI they fail."""
    python = Path(os.environ.get(variable) or ROOT / directory / "bin" / "python")
    if python.exists():
        return str(python)
    reason = f"no {python}: run make {directory}, or name an interpreter in {variable}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


class CrewProcess:
    """Starts scenarios."""

    def __init__(self, python: str, home: Path) -> None:
        self._python = python
        self._home = home
        self.spool = home / "spool"
        self.truth = home / "truth.json"

    def start(self, scenario: str, *arguments: str, nats_url: str, source: str) -> "subprocess.Popen[str]":
        """Start ``tests/crew/scenarios/<scenario>.py``, with pipes to all its streams."""
        command = [self._python, "-m", f"tests.crew.scenarios.{scenario}", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command,
            env=self._environment(nats_url, source),
            cwd=ROOT,
            text=True,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )

    def run(self, scenario: str, *arguments: str, nats_url: str, source: str) -> str:
        """Run a scenario to its end, which has to be a good one; what it printed."""
        process = self.start(scenario, *arguments, nats_url=nats_url, source=source)
        out, err = process.communicate(timeout=110)
        assert process.returncode == 0, err[-4000:]
        return out

    def _environment(self, nats_url: str, source: str) -> Mapping[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if name.startswith(("PATH", "LANG", "COV"))},
            **QUIET,
            "HOME": str(self._home),
            "PYTHONPATH": str(ROOT),
            "NATS_URL": nats_url,
            "SOURCE": source,
            "SPOOL": str(self.spool),
            "GROUND_TRUTH": str(self.truth),
        }
