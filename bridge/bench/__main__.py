"""``python -m bridge.bench``: the quick comparison."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from bridge.bench.report import table
from bridge.bench.run import compare, write
from bridge.bench.scenarios import QUICK


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="crew-bridge bench", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="rounds of each server (default: 5)")
    parser.add_argument("--connections", type=int, help="fewer or more of them, in all scenarios")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("scenario", nargs="*", help=f"of {', '.join(s.name for s in QUICK)}; default: all")
    arguments = parser.parse_args()
    chosen = [s for s in QUICK if not arguments.scenario or s.name in arguments.scenario]
    if arguments.connections:
        chosen = [replace(s, connections=arguments.connections) for s in chosen]
    done = [compare(s, arguments.repeats, lambda line: print(line, flush=True)) for s in chosen]
    print(table([one.to_json() for one in done]))
    if arguments.json:
        write(arguments.json, done)
    return 0


if __name__ == "__main__":
    sys.exit(main())
