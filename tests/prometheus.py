"""A real Prometheus of a test's own, with the configuration that is delivered."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.tools import needed
from tests.waiting import eventually

GRAFANA = Path(__file__).parents[1] / "grafana"
_TARGETS = re.compile(r"targets: \[.*\]")
_SECONDS = re.compile(r"_interval: \d+s")


class Prometheus:
    """Where it answers."""

    def __init__(self, address: str) -> None:
        self._address = address

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression has now; one that is wrong fails."""
        return list(self.get("query", query=expression)["result"])

    def get(self, path: str, **query: str) -> Any:
        """The data of an API call."""
        address = f"{self._address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=10) as response:  # noqa: S310 - our own
            return json.load(response)["data"]

    def is_ready(self) -> bool:
        """It listens before its storage is open, and answers 503 until then."""
        try:
            with urllib.request.urlopen(f"{self._address}/-/ready", timeout=5):  # noqa: S310 - our own
                return True
        except urllib.error.HTTPError:
            return False


@contextmanager
def prometheus(directory: Path, *targets: str) -> Iterator[Prometheus]:
    """It scrapes the bridges at ``targets`` several times a second, and evaluates all rules."""
    binary = needed("prometheus")
    text = (GRAFANA / "prometheus.yml").read_text()
    hosts = ", ".join(target.removeprefix("http://") for target in targets)
    text = _SECONDS.sub("_interval: 200ms", _TARGETS.sub(f"targets: [{hosts}]", text))
    (directory / "prometheus.yml").write_text(text)
    shutil.copytree(GRAFANA / "rules", directory / "rules")
    log = directory / "prometheus.log"
    arguments = [
        f"--config.file={directory}/prometheus.yml",
        f"--storage.tsdb.path={directory}/data",
        "--web.listen-address=127.0.0.1:0",
    ]
    with log.open("w") as file:
        process = subprocess.Popen([binary, *arguments], stdout=file, stderr=file)
    try:
        found = eventually(lambda: re.search(r"127\.0\.0\.1:[1-9]\d*", log.read_text()), 60)
        started = Prometheus(f"http://{found[0]}")
        eventually(started.is_ready, 60)
        yield started
    finally:
        process.terminate()
        process.wait(10)


def promtool(*arguments: str | Path, text: str = "") -> None:
    """Run it, with ``text`` to read; a complaint fails."""
    command = [needed("promtool"), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
