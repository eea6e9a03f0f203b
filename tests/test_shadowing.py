"""A project may have modules that are called as ours; what then is wrong is said."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _run(project: Path, code: str) -> "subprocess.CompletedProcess[str]":
    """Run a script of the project, beside which its modules are."""
    (project / "worker.py").write_text(code)
    return subprocess.run(
        [sys.executable, "worker.py"],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize("place", ["contracts/__init__.py", "contracts.py"])
@pytest.mark.parametrize(
    "code",
    ["import bridge.crew", "import bridge", "import contracts\nimport bridge.app", "import bridge.cli"],
)
def test_a_module_that_comes_before_ours_is_named_with_what_to_do(
    tmp_path: Path, place: str, code: str
) -> None:
    theirs = tmp_path / place
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("class Contract: ...\n")
    done = _run(tmp_path, code)

    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: Crew Bridge needs its own package contracts")
    assert str(theirs) in last
    assert str(ROOT / "contracts") in last
    assert "rename" in last


@pytest.mark.parametrize("file", ["solidity.sol", "treaty.py"])
def test_a_directory_that_is_no_package_does_not_come_before_ours(tmp_path: Path, file: str) -> None:
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / file).write_text("")
    done = _run(tmp_path, "import bridge.crew, contracts; print(contracts.create_event)")

    assert done.returncode == 0, done.stderr


def test_the_command_does_not_look_into_the_working_directory(tmp_path: Path) -> None:
    for name in ("contracts.py", "bridge.py"):
        (tmp_path / name).write_text("raise SystemExit('theirs')\n")
    command = Path(sys.executable).with_name("crew-bridge")
    done = subprocess.run(
        [command, "--version"], cwd=tmp_path, text=True, capture_output=True, check=False, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
