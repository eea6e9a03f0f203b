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


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "expected"),
    [
        (256, 9000, 1000, (2024, 2072, 9000)),
        (256, 512, 1000, (464, 512, 512)),
        (120, 120, 1, (72, 120, 120)),
        (40, 40, 1, (8, 40, 40)),
    ],
    ids=["the limit is raised", "as far as it goes", "a reserve is left", "a few are always taken"],
)
def test_sockets_leave_files_for_everything_else(
    soft: int, hard: int, connections: int, expected: tuple[int, int, int]
) -> None:
    code = _LIMITED.format(soft=soft, hard=hard, connections=connections)
    code = code.replace("with_files_for", "sockets_for")
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert tuple(map(int, answer.stdout.splitlines()[-1].split())) == expected
