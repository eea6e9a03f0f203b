"""Connections are bounded by the files that the operating system grants."""

import subprocess
import sys

import pytest

_LIMITED = """
import resource
from bridge.files import with_files_for

resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(with_files_for({connections}), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "expected"),
    [(256, 2000, 1000, (1000, 1128, 2000)), (256, 512, 1000, (384, 512, 512)), (64, 64, 1000, (1, 64, 64))],
    ids=["the limit is raised", "as far as it goes", "one is always served"],
)
def test_there_are_as_many_connections_as_files(
    soft: int, hard: int, connections: int, expected: tuple[int, int, int]
) -> None:
    code = _LIMITED.format(soft=soft, hard=hard, connections=connections)
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert tuple(map(int, answer.stdout.splitlines()[-1].split())) == expected
