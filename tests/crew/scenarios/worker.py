"""A worker that a test leads by the hand: reads commands from its input, answers each with a line of JSON."""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from bridge.crew import Tap, install
from tests.crew.scenarios.offline import GroundTruth, simple_crew

truth = GroundTruth()
taps: list[Tap] = []
halt = threading.Event()
running: list[threading.Thread] = []


def run_install() -> float:
    started = time.monotonic()
    taps.append(
        install(
            os.environ["NATS_URL"], source=os.environ["SOURCE"], spool_directory=Path(os.environ["SPOOL"])
        )
    )
    return time.monotonic() - started


def run_kickoff() -> float:
    started = time.monotonic()
    simple_crew(tasks=2).kickoff()
    return time.monotonic() - started


def run_begin() -> None:
    """Crew after crew, until told to halt."""

    def work() -> None:
        while not halt.is_set():
            run_kickoff()

    halt.clear()
    running.append(threading.Thread(target=work))
    running[-1].start()


def run_halt() -> None:
    halt.set()
    running.pop().join()


def run_emitted() -> int:
    return len(truth.events)


def run_flush() -> bool:
    return taps[-1].flush(15)


def run_close() -> dict[str, int]:
    tap = taps.pop()
    tap.close()
    truth.save()
    return tap.statistics()


def main() -> None:
    for line in sys.stdin:
        answer: Any = globals()[f"run_{line.strip()}"]()
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


main()
