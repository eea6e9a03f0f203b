"""The bench measures what it says: its events are events, nothing is lost, nothing is counted twice."""

import json
import signal
import socket as sockets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from bridge.bench import wire
from bridge.bench.measure import Opened, Round
from bridge.bench.receiver import Dial, Receiver
from bridge.bench.report import percent
from bridge.bench.run import Compared, Outcome, compare, environment
from bridge.bench.scenarios import BOTH, Scenario
from bridge.bench.servers import floor
from contracts.codec import StoredMessage, decode
from tests.bench import holds, special
from tests.bench.aims import aims
from tests.bench.check import check, faults, verdict
from tests.bench.page import page
from tests.bench.scenarios import FULL, GOALS
from tests.processes import process, run
from tests.waiting import eventually

RESULTS = Path(__file__).parent / "results" / "full.json"


@pytest.mark.parametrize("event_type", ["task.completed", "llm.chunk"])
def test_its_events_are_of_one_size_and_have_one_marker(event_type: str) -> None:
    payload = wire.event(event_type, 7, "e00001", "lead", wire.now_us())
    subject = wire.subject(event_type, "e00001")

    decoded = decode(StoredMessage(subject, payload, 812, 0), "epoch")

    assert len(payload) == wire.EVENT_BYTES
    assert decoded.wire.count(wire.MARKER) == 1
    assert decoded.wire[decoded.wire.index(wire.SENT) + len(wire.SENT) :][: wire.SENT_DIGITS].isdigit()


def test_it_compares_on_the_users_machine(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"

    done = run("bench", "burst", "--connections", "20", "--repeats", "1", "--json", str(file))

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3].startswith("| 20 connections, one subject")
    figures = json.loads(file.read_text())["scenarios"]["burst"]
    medians = {name: outcome["median"] for name, outcome in figures["outcomes"].items()}
    assert {name: m["delivered"] / m["expected"] for name, m in medians.items()} == {
        "bridge": 1,
        "nats": 1,
        "naive": 1,
    }
    assert medians["bridge"]["fewest"] == 1000
    assert medians["bridge"]["events_per_write"] >= 1
    assert figures["cpu_ratio_to_nats"] > 0


def test_a_steady_stream_reaches_who_reads_and_nobody_else() -> None:
    scenario = Scenario("s", "", 12, 40, 400, executions=2, stalled=2, elsewhere=4, servers=BOTH)
    lines: list[str] = []

    done = compare(scenario, 2, lines.append)

    assert len(lines) == 4
    for outcome in done.outcomes.values():
        assert [(r.delivered, r.expected, r.fewest, r.closed) for r in outcome.rounds] == [
            (160, 160, 0, 0)
        ] * 2
        assert outcome.median.p50_ms > 0
        assert outcome.opened.cpu_us > 0
    assert all(us > 0 for us in done.limits_us)


def test_the_bare_loop_does_not_wait_for_one_reader_while_others_have_room(tmp_path: Path) -> None:
    size, times = 4 * 2**20, 2
    with floor(tmp_path, 2, 1) as (server, loop), ExitStack() as stack:
        slow, other = (
            stack.enter_context(sockets.create_connection(server.address, timeout=20)) for _ in range(2)
        )
        for socket in (slow, other):
            socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert socket.recv(4096).startswith(b"HTTP/1.1 101 ")
        assert loop.stdin
        loop.stdin.write(json.dumps({"size": size, "times": times, "every": 0}).encode() + b"\n")
        loop.stdin.flush()

        assert _read(other, size) == b"\xc3."
        assert _read(slow, size * times) == b"\xc3."
        assert _read(other, size * (times - 1)) == b"\xc3."


def _read(socket: sockets.socket, size: int) -> bytes:
    """The last two bytes of so many."""
    last = b""
    while size:
        data = socket.recv(min(size, 2**18))
        assert data
        size -= len(data)
        last = (last + data)[-2:]
    return last


def test_a_ratio_to_the_limit_is_taken_within_each_round() -> None:
    rounds = [_round(cpu_us=us) for us in (4.0, 1.0, 2.0)]
    outcome = Outcome(Opened(1, 1.0, 1.0, 1.0), rounds[0], rounds)

    done = Compared(Scenario("s", "", 1, 1), {"bridge": outcome}, [1.0, 1.0, 2.0])

    assert done.to_json()["cpu_ratio_to_limit"] == 1
    assert done.to_json()["nats_cpu_ratio_to_limit"] is None


def _round(*, cpu_us: float = 1.0, delivered: int = 10) -> Round:
    """What came of one round in which ten events were due."""
    figures: dict[str, Any] = {field.name: 1 for field in fields(Round)} | {"expected": 10, "fewest": 10}
    return Round(**figures | {"cpu_us": cpu_us, "delivered": delivered})


def test_who_comes_back_in_a_storm_gets_everything() -> None:
    assert special.storm(lambda _: None, connections=30, events=10)["delivered"] == 1


def test_what_holds_the_loop_is_counted_turn_by_turn() -> None:
    times = holds.held(Scenario("s", "", 5, 40, 400, servers=("bridge",)), lambda _: None)

    assert 1 <= times["turns"]["count"] <= 80
    assert 0 < times["turns"]["mean_ms"] <= times["turns"]["longest_ms"]
    assert times["turns"]["too_long"] <= times["turns"]["count"]
    assert 0 < times["p99_ms"] <= times["p999_ms"]


def test_more_than_a_window_is_published_flat_out_and_confirmed() -> None:
    scenario = Scenario("s", "", 3, 2500, servers=BOTH)

    done = compare(scenario, 1, lambda _: None)

    assert {name: outcome.median.delivered for name, outcome in done.outcomes.items()} == {
        "bridge": 7500,
        "nats": 7500,
    }


def test_a_handshake_that_is_refused_is_said_so() -> None:
    receiver = Receiver()
    with sockets.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        answering = pool.submit(_refuse, server)
        dial = Dial(wire.handshake("/", "x"), b"ready")
        with pytest.raises(ConnectionError, match=r"HTTP/1\.1 503"):
            receiver.connect(server.getsockname(), [dial], 1)
        answering.result()


def _refuse(server: sockets.socket) -> None:
    socket, _ = server.accept()
    with socket:
        socket.recv(4096)
        socket.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["dance"], 2, "invalid choice: 'dance' (choose from burst, 1000x100, 1000x20, own-flat-out)"),
        (["--repeats", "0"], 2, "must be a number from 1"),
        (["--connections", "0"], 2, "must be a number from 1"),
        (["--connections", "-5"], 2, "must be a number from 1"),
        (["--json", "missing/figures.json"], 1, "there is no directory missing for results"),
        (["--json", __file__], 1, "holds something other than results"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_measured(
    arguments: list[str], code: int, reason: str
) -> None:
    done = run("bench", *arguments)

    assert (done.returncode, done.stdout) == (code, "")
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_who_may_open_too_few_files_is_told_how_many_connections_there_can_be() -> None:
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300));"
    command = "from bridge.cli import main; sys.exit(main(['bench', 'burst']))"

    done = subprocess.run(
        [sys.executable, "-c", limited + command], capture_output=True, check=False, text=True
    )

    assert done.returncode == 1
    assert "1,000 connections take more open files than are allowed here" in done.stderr
    assert "measure 172 at most" in done.stderr


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_a_bench_that_is_ended_leaves_no_process_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: signal.Signals
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with process(tmp_path, "bench", "burst", "--connections", "3", "--repeats", "1000") as bench:
        eventually(lambda: "burst 1: bridge" in bench.output)
        pid = bench.popen.pid
        started = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()

        code = bench.ended(by)

    assert code == (128 + by if by == signal.SIGTERM else -by)
    assert len(started) >= 6
    eventually(lambda: not any(_is_running(child) for child in started))
    if by == signal.SIGTERM:
        assert not list(tmp_path.glob("crew-bridge-bench-*"))


def _is_running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_half_of_the_last_ratio_is_enough_and_less_is_not() -> None:
    assert verdict("burst", 3.5, 7.0) is None
    assert "burst" in (verdict("burst", 3.4, 7.0) or "")


def test_a_lead_that_was_twice_as_great_and_more_is_found_to_be_lost() -> None:
    tiny = [Scenario("s", "", 5, 50)]

    assert check(tiny, {"s": 1e-6}, 1, lambda _: None) == []
    (fault,) = check(tiny, {"s": 1e6}, 1, lambda _: None)
    assert fault.startswith("s: nats-server's CPU is ")


@pytest.mark.parametrize("change", [{"delivered": 9}, {"fewest": 9}])
def test_what_was_not_delivered_is_no_success(change: dict[str, int]) -> None:
    whole, lossy = _outcome(), _outcome(**change)

    def said(**outcomes: Outcome) -> list[str]:
        return faults(Compared(Scenario("s", "", 1, 10), outcomes, [1.0, 1.0]), 1.0)

    assert said(bridge=whole, nats=whole) == []
    assert said(bridge=lossy, nats=whole) == ["s: bridge delivered 90% only"]
    assert said(bridge=whole, nats=lossy) == ["s: nats delivered 90% only"]


def _outcome(**change: int) -> Outcome:
    rounds = [_round(), replace(_round(), **change)]
    return Outcome(Opened(1, 1.0, 1.0, 1.0), rounds[0], rounds)


def test_not_quite_everything_is_not_everything() -> None:
    assert [percent(share) for share in (1.0, 0.99999, 0.5)] == ["100%", "99.9%", "50%"]


def test_every_goal_is_a_scenario() -> None:
    assert GOALS.keys() <= {scenario.name for scenario in FULL}


def test_a_page_without_results_is_a_page() -> None:
    assert page({}).startswith("# What was measured last")


@pytest.mark.parametrize(
    ("change", "is_met"),
    [
        ({}, "yes"),
        ({"cpu_ratio_to_nats": 2.7}, "no"),
        ({"p99_ratio_to_nats": 1.4}, "no"),
        ({"cpu_ratio_to_naive": 2.7}, "no"),
    ],
)
def test_a_goal_is_met_with_all_its_parts(change: dict[str, float], is_met: str) -> None:
    figures = {"cpu_ratio_to_nats": 2.9, "p99_ratio_to_nats": 1.2, "cpu_ratio_to_naive": 2.9}

    assert _goals(change={"1000x100": figures | change}) == {"1000x100": is_met}


def test_a_goal_is_not_met_in_a_run_that_lost_something() -> None:
    figures = {"cpu_ratio_to_nats": 2.9, "p99_ratio_to_nats": 1.2, "cpu_ratio_to_naive": 2.9}

    assert _goals(change={"1000x100": figures}, lost=1) == {"1000x100": "no"}


def test_a_goal_for_the_rate_is_not_met_by_who_is_late() -> None:
    figures = {"cpu_ratio_to_nats": 3.0, "p99_ratio_to_nats": 0.4}

    assert _goals(change={"1000x1000": figures}, seconds=2.0) == {"1000x1000": "yes"}
    assert _goals(change={"1000x1000": figures}, seconds=2.1) == {"1000x1000": "no"}


def _goals(*, change: dict[str, dict[str, float]], seconds: float = 3.0, lost: int = 0) -> dict[str, str]:
    """Which goals the page calls met, by scenario, where the committed results had other figures."""
    held = json.loads(RESULTS.read_text(encoding="utf-8"))
    found = {}
    for name, figures in change.items():
        one = held["scenarios"][name] | figures
        median = one["outcomes"]["bridge"]["median"]
        median |= {"seconds": seconds, "delivered": median["expected"]}
        one["outcomes"]["bridge"]["rounds"][-1]["delivered"] -= lost
        row = page({"scenarios": {name: one}}).split("## Other goals")[0].splitlines()[-2]
        found[name] = row.split(" | ")[-2]
    return found


def test_goals_apart_from_scenarios_are_judged_where_they_were_measured() -> None:
    idle = {"bridge": {"rss_bytes": 20 * 1024}, "nats": {"rss_bytes": 39 * 1024}}

    rows = aims({"special": {"idle": idle, "stalled": {"bridge": {"delivered": 0.999}}}}).splitlines()[2:]

    assert [row.split(" | ")[1:] for row in rows] == [
        ["≤ 20", "20.000", "yes |"],
        ["≤ 0.5", "0.513", "no |"],
        ["≥ 1", "0.999", "no |"],
    ]


def test_a_page_says_what_it_was_measured_on() -> None:
    held = json.loads(RESULTS.read_text(encoding="utf-8"))["scenarios"]["burst"]
    held["environment"] |= {"processor": "A chip", "cores": 2, "nats_server": "v2.11.0"}

    assert "processor A chip, cores 2," in page({"scenarios": {"burst": held}})
    assert environment()["nats_server"]


def test_figures_of_any_form_are_rows() -> None:
    rows = page({"special": {"idle": {"bridge": {"kib": 19.64, "seconds": 4}, "cores": 2}}}).splitlines()[-3:]

    assert rows == ["| bridge, kib | 19.64 |", "| bridge, seconds | 4 |", "| cores | 2 |"]
