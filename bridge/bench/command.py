"""The command ``crew-bridge bench``: the quick comparison, as a table."""

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from bridge.bench.report import incomplete, table
from bridge.bench.run import compare, write
from bridge.bench.scenarios import QUICK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--repeats", type=int, default=3, help="rounds of each server (default: 3)")
    parser.add_argument("--connections", type=int, help="so many, in all scenarios")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    names = [scenario.name for scenario in QUICK]
    parser.add_argument(
        "scenario", nargs="*", choices=[*names, []], help=f"of {', '.join(names)}; default: all"
    )


def bench(arguments: argparse.Namespace) -> int:
    """Measure, and print the table; 1 if not everything was delivered. What fails is an `OSError`."""
    if sys.platform != "linux":
        raise OSError("the bench needs Linux: it reads what servers cost from the kernel, and uses epoll")
    chosen = [s for s in QUICK if not arguments.scenario or s.name in arguments.scenario]
    if arguments.connections:
        chosen = [replace(s, connections=arguments.connections) for s in chosen]
    done = [compare(scenario, arguments.repeats, partial(print, flush=True)) for scenario in chosen]
    figures = [one.to_json() for one in done]
    print(table(figures))
    if arguments.json:
        write(arguments.json, done)
    faults = [fault for one in figures for fault in incomplete(one)]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0
