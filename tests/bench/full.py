"""``make bench``: everything that is measured, into tests/bench/results."""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Final

from bridge.bench.run import compare, need_files, write
from tests.bench import plots, special
from tests.bench.page import page
from tests.bench.scenarios import FULL

RESULTS: Final = Path(__file__).parent / "results"
_FIGURES: Final = RESULTS / "full.json"
_TABLE: Final = RESULTS / "full.md"


def main() -> int:
    """Measure what was asked for, keep what was measured before of the rest."""
    names = [scenario.name for scenario in FULL] + list(special.MEASURES)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("only", nargs="*", help=f"of {', '.join(names)}; default: all", metavar="NAME")
    arguments = parser.parse_args()
    if unknown := set(arguments.only) - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}, only {', '.join(names)}")
    need_files(max(scenario.connections for scenario in FULL))
    say = partial(print, flush=True)
    wanted = set(arguments.only or names)
    for scenario in FULL:
        if scenario.name in wanted:
            write(_FIGURES, [compare(scenario, arguments.repeats, say)])
    for name, measure in special.MEASURES.items():
        if name in wanted:
            say(f"{name}:")
            _keep(name, measure(say))
    held = json.loads(_FIGURES.read_text(encoding="utf-8"))
    _TABLE.write_text(page(held), encoding="utf-8")
    plots.draw(held, RESULTS)
    return 0


def _keep(name: str, figures: object) -> None:
    held = json.loads(_FIGURES.read_text(encoding="utf-8")) if _FIGURES.exists() else {}
    held.setdefault("special", {})[name] = figures
    _FIGURES.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
