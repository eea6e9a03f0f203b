"""The command ``crew-bridge bench``: the quick comparison, as a table."""

import argparse
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from bridge.bench.report import incomplete, table
from bridge.bench.run import compare, kept, need_files, write
from bridge.bench.scenarios import QUICK, Scenario

_CROWD = f"{QUICK[0].connections:,} connections"
"""How each title begins."""
_NAMES = ", ".join(scenario.name for scenario in QUICK)
_MOST = 20_000
"""Connections to one address and port: the ports that Linux gives out are 28,000."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--repeats", type=_count, default=3, help="rounds of each server (default: 3)")
    parser.add_argument("--connections", type=_count, help="so many, in all scenarios")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument(
        "scenario", nargs="*", type=_scenario, metavar="SCENARIO", help=f"of {_NAMES}; default: all"
    )


def _count(text: str) -> int:
    count = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= count <= _MOST:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {_MOST:,}")
    return count


def _scenario(name: str) -> Scenario:
    for scenario in QUICK:
        if scenario.name == name:
            return scenario
    raise argparse.ArgumentTypeError(f"invalid choice: {name!r} (choose from {_NAMES})")


def bench(arguments: argparse.Namespace) -> int:
    """Measure, and print the table; 1 if not everything was delivered. What fails is an `OSError`."""
    if sys.platform != "linux":
        raise OSError("the bench needs Linux: it reads what servers cost from the kernel, and uses epoll")
    chosen = [_sized(s, arguments.connections) for s in QUICK if s in (arguments.scenario or QUICK)]
    need_files(max(scenario.connections for scenario in chosen))
    if arguments.json:
        kept(arguments.json)  # what cannot be written is to be known before it is measured
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    done = [compare(scenario, arguments.repeats, partial(print, flush=True)) for scenario in chosen]
    figures = [one.to_json() for one in done]
    print(table(figures))
    if arguments.json:
        write(arguments.json, done)
    faults = [fault for one in figures for fault in incomplete(one)]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def _sized(scenario: Scenario, connections: int | None) -> Scenario:
    if connections is None:
        return scenario
    title = scenario.title.replace(_CROWD, f"{connections:,} connections")
    return replace(scenario, connections=connections, title=title)
