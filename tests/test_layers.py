"""Who may import whom: the houses of the project, and the walls between them."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHORES = ("bridge.broker", "bridge.web", "bridge.crew")
SEEN = {
    "bridge.assembly": SHORES,
    "bridge.service": ("bridge.broker", "bridge.web"),
    "bridge.app": ("bridge.web",),
    "bridge.cli": ("bridge.web", "bridge.crew"),
    "bridge.demo": ("bridge.crew",),
    "bridge.metrics.sources": ("bridge.broker",),
}
"""The shores that a module above them sees: all of them only where they are put together."""
LOADED_LATE = {"bridge.crew.bus", "bridge.crew.listener"}
"""They need CrewAI, and are imported inside functions only."""
IMPURE = {
    "asyncio", "concurrent", "datetime", "http", "io", "logging", "multiprocessing", "os", "pathlib",
    "queue", "random", "secrets", "select", "selectors", "signal", "socket", "sqlite3", "ssl", "subprocess",
    "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
"""What would bring a clock, chance, a loop, a log or the world into the core."""
OWNERS = {
    "nats": ("bridge.broker", "bridge.crew", "bridge.bench.naive"),
    "aiohttp": ("bridge.web", "bridge.app", "bridge.bench.naive"),
    "multidict": ("bridge.web",),
    "crewai": ("bridge.crew.bus", "bridge.crew.listener"),
    "prometheus_client": ("bridge.metrics", "bridge.web"),
}


def violations(root: Path) -> list[str]:
    """Every import under ``root`` that crosses a wall, as ``importer -> imported``."""
    return [
        f"{module} -> {name}"
        for module, tree in _modules(root)
        for name, is_late in _imports(tree)
        if not _may(module, name, is_late=is_late)
    ]


def _modules(root: Path) -> Iterator[tuple[str, ast.Module]]:
    for house in ("bridge", "contracts"):
        for path in sorted((root / house).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), ast.parse(path.read_text())


def _imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """What is imported, each with whether that happens inside a function."""
    late = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module
            assert not node.level
            yield from ((f"{node.module}.{alias.name}", node in late) for alias in node.names)


def _may(module: str, name: str, *, is_late: bool) -> bool:
    top = name.partition(".")[0]
    if any(_within(name, late) for late in LOADED_LATE):
        return module in LOADED_LATE or is_late
    if top in OWNERS and not any(_within(module, owner) for owner in OWNERS[top]):
        return False
    if _within(module, "contracts"):
        return _is_standard(top) or top in {"pydantic", "pydantic_core", "contracts"}
    if _within(module, "bridge.core"):
        own = _within(name, "bridge.core") or top in {"pydantic", "contracts"}
        return own or (_is_standard(top) and top not in IMPURE)
    return (
        top not in {"structlog"} or not _within(module, "bridge.crew")
        if top != "bridge"
        else _in_bridge(module, name)
    )


def _in_bridge(module: str, name: str) -> bool:
    """Shores see themselves, the core and nothing else."""
    shore = next((shore for shore in SHORES if _within(module, shore)), None)
    if shore is None:
        return not any(_within(name, other) for other in set(SHORES) - set(SEEN.get(module, ())))
    return _within(name, shore) or (_within(name, "bridge.core") and shore == "bridge.web")


def _within(name: str, house: str) -> bool:
    return name == house or name.startswith(f"{house}.")


def _is_standard(top: str) -> bool:
    return top in sys.stdlib_module_names


def test_nobody_imports_across_a_wall() -> None:
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("contracts.types", "import nats"),
        ("contracts.types", "from bridge.core.log import Log"),
        ("contracts.types", "import structlog"),
        ("bridge.core.log", "import asyncio"),
        ("bridge.core.log", "from time import monotonic"),
        ("bridge.core.log", "def late():\n    import random"),
        ("bridge.core.log", "import structlog"),
        ("bridge.core.log", "from bridge.config import Settings"),
        ("bridge.web.app", "from bridge import broker"),
        ("bridge.web.app", "import nats.errors"),
        ("bridge.broker.feed", "from bridge.web.app import create_app"),
        ("bridge.broker.feed", "from bridge.core.hub import Hub"),
        ("bridge.broker.feed", "import aiohttp"),
        ("bridge.crew.tap", "import structlog"),
        ("bridge.crew.tap", "from bridge.core.log import Log"),
        ("bridge.crew.tap", "import crewai"),
        ("bridge.crew.tap", "def late():\n    import crewai"),
        ("bridge.crew.tap", "from bridge.crew import bus"),
        ("bridge.config", "from bridge.broker.feed import Feed"),
        ("bridge.config", "import prometheus_client"),
        ("bridge.cli", "from bridge.broker.feed import Feed"),
        ("bridge.intake", "from bridge.broker.feed import Feed"),
        ("bridge.metrics", "from bridge.web.shore import Shore"),
        ("bridge.service", "import nats"),
    ],
)
def test_a_planted_import_across_a_wall_is_found(tmp_path: Path, module: str, line: str) -> None:
    path = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True)
    path.write_text(f"{line}\n")

    (found,) = violations(tmp_path)
    assert found.startswith(f"{module} -> ")


def test_what_needs_crewai_may_be_loaded_inside_a_function(tmp_path: Path) -> None:
    path = tmp_path / "bridge" / "crew" / "install.py"
    path.parent.mkdir(parents=True)
    path.write_text("def late():\n    from bridge.crew import bus\n")

    assert violations(tmp_path) == []
