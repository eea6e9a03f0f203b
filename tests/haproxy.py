"""A real HAProxy."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_connection, socket

from tests.tools import needed
from tests.waiting import eventually


@contextmanager
def haproxy(directory: Path, configuration: str) -> Iterator[str]:
    """Its URL; in ``configuration`` it binds ``{address}``."""
    binary = needed("haproxy")
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    path, said = directory / "haproxy.cfg", directory / "haproxy.log"
    path.write_text(configuration.replace("{address}", address))
    with said.open("w") as words:
        process = subprocess.Popen([binary, "-db", "-f", path], stderr=words)
    try:
        eventually(lambda: _listens(address) or process.poll() is not None)
        assert process.poll() is None, said.read_text()
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(10)


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with suppress(OSError), create_connection((host, int(port)), timeout=5):
        return True
    return False
