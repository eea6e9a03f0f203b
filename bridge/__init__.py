"""Crew Bridge: events of CrewAI crews, from NATS JetStream to browsers, in order and without loss."""

import sys
from importlib.util import find_spec
from pathlib import Path


def _refuse_others(name: str) -> None:
    """Raise `ImportError` where another module than ours is imported as ``name``: say which, and what to do.

    A project's own ``contracts.py`` comes first where the project is; what of ours is missing there would
    else be reported as if it were lost.
    """
    ours = Path(__file__).resolve().parent.with_name(name)
    known = sys.modules.get(name)
    origin = getattr(known, "__file__", None) if known else getattr(find_spec(name), "origin", None)
    if origin is None or Path(origin).resolve().parent == ours:
        return
    raise ImportError(
        f"Crew Bridge needs its own package {name}, in {ours}, but {origin} comes first: rename that one, "
        f"or keep its directory out of Python's path (the script's, the working directory, PYTHONPATH)",
        name=name,
        path=origin,
    )


_refuse_others("contracts")
