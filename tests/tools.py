"""Programs that some tests need: missing on a laptop they skip the test, in CI they fail it."""

import os
import shutil

import pytest


def needed(name: str) -> str:
    """Where the program is."""
    path = shutil.which(name)
    if path is not None:
        return path
    if os.environ.get("CI"):
        pytest.fail(f"{name} is missing, and CI must have it")
    pytest.skip(f"{name} is missing")
