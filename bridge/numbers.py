"""A Prometheus beside the demo, where one is installed: it watches the bridge, and ends with the demo."""

import asyncio
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlencode

from bridge.embedded import end_with_parent, stop

_RULES: Final = Path(__file__).parents[1] / "grafana" / "rules"
"""In a clone; an installed package has none."""
_CONFIGURATION: Final = """\
global: {{scrape_interval: 1s, evaluation_interval: 5s}}
rule_files: ["{rules}/*.yml"]
scrape_configs: [{{job_name: crew-bridge, static_configs: [{{targets: ["{target}"]}}]}}]
"""
_LISTENING: Final = re.compile(rb"Listening on.*?(127\.0\.0\.1:[1-9]\d*)")
_SHOWN: Final = (
    "sum by (family) (rate(crew_bridge_events_in_total[15s]))",
    "histogram_quantile(0.99, sum by (le) (rate(crew_bridge_event_age_seconds_bucket[15s])))",
)
_MOST: Final = "128MB"


async def show_numbers(url: str, say: Callable[[str], None]) -> None:
    """Watch the bridge at ``url`` until cancelled, and say where its numbers are, if Prometheus is there."""
    binary = shutil.which("prometheus")
    if binary is None:
        return
    with TemporaryDirectory(prefix="crew-bridge-") as directory:
        process = await _start(binary, Path(directory), url.partition("//")[2])
        try:
            async for line in _log(process):
                if address := _LISTENING.search(line):
                    say(f"  numbers: http://{address[1].decode()}/graph?{_graphs()}")
        finally:
            await stop(process)


async def _start(binary: str, directory: Path, target: str) -> Process:
    configuration = directory / "prometheus.yml"
    await asyncio.to_thread(configuration.write_text, _CONFIGURATION.format(rules=_RULES, target=target))
    return await asyncio.create_subprocess_exec(
        binary,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--storage.tsdb.retention.size={_MOST}",
        "--web.listen-address=127.0.0.1:0",
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
        start_new_session=True,
        preexec_fn=end_with_parent,
    )


def _log(process: Process) -> asyncio.StreamReader:
    """What it says; to be read to the end, for a log that nobody reads would stop it."""
    if process.stderr is None:
        raise TypeError("started without a pipe for its log")
    return process.stderr


def _graphs() -> str:
    fields = {f"g{n}.{name}": value for n, expr in enumerate(_SHOWN) for name, value in _graph(expr).items()}
    return urlencode(fields)


def _graph(expr: str) -> dict[str, str]:
    return {"expr": expr, "tab": "0", "range_input": "5m"}
