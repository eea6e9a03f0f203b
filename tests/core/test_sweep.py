"""The sweep: heartbeats that say where to resume from, and an end for who is silent."""

from bridge.core.frames import Opcode, frame
from bridge.core.socket import CloseCode
from bridge.core.sweep import Sweep
from tests.core.parts import LIMIT, Bench, event, frames

_PING = frame(b"", Opcode.PING)


def _sweep(bench: Bench, period: float = 60) -> Sweep:
    return Sweep(bench.hub, period=period, interval=25, stale_after=60, stalled_after=30, buffer_limit=LIMIT)


def test_a_heartbeat_is_due_each_interval_and_carries_a_ping_and_a_safe_cursor() -> None:
    bench = Bench()
    connection, socket = bench.connect("global")
    connection.next_heartbeat = 25
    bench.publish(event(1)._replace(stored_ns=80))
    bench.settle()
    bench.publish(event(2)._replace(stored_ns=90))
    sweep = _sweep(bench)
    connection.last_heard = 24

    assert sweep.run(24) == sweep.run(25) == sweep.run(26) == []

    beat = socket.written[-1]
    assert len(socket.written) == 2
    assert beat.endswith(_PING)
    (payload,) = frames(beat.removesuffix(_PING))
    assert b'"event_type":"connection.heartbeat"' in payload
    assert b'"data":{"epoch":"e0-2-5a","head":2,"cursor":1,"position":"1-50"}' in payload
    assert connection.next_heartbeat == 50


def test_who_is_silent_for_too_long_is_cut_off() -> None:
    bench = Bench()
    silent, socket = bench.connect(client_id="silent")
    talking, _ = bench.connect(client_id="talking")
    talking.last_heard = 10

    (stale,) = _sweep(bench).run(61)
    assert stale.silence == 61

    assert socket.closed == (CloseCode.STALE, "nothing was heard from you")
    assert list(bench.hub.connections) == ["talking"]
    assert not silent.is_open
    assert bench.hub.counters.stale == 1


def test_a_full_socket_is_sent_no_heartbeat() -> None:
    bench = Bench()
    _, socket = bench.connect()
    socket.is_stuck = True
    socket.backlog = LIMIT + 1

    _sweep(bench).run(30)

    assert socket.written == []


def test_everybody_at_the_same_place_is_sent_the_same_heartbeat() -> None:
    bench = Bench()
    _, one = bench.connect(client_id="one")
    _, two = bench.connect(client_id="two")

    _sweep(bench).run(30)

    assert one.written[0] is two.written[0]


def test_who_reads_slowly_but_reads_is_not_silent() -> None:
    bench = Bench()
    slow, slow_socket = bench.connect(client_id="slow")
    _, stuck_socket = bench.connect(client_id="stuck")
    sweep = _sweep(bench)

    for now, backlog in ((30, 9000), (50, 8000), (80, 7900)):
        slow_socket.backlog, stuck_socket.backlog = backlog, 9000
        sweep.run(now)

    assert list(bench.hub.connections) == ["slow"]
    assert slow.last_heard == 80


def test_who_takes_nothing_of_what_is_sent_is_ended_though_it_talks() -> None:
    bench = Bench()
    stuck, socket = bench.connect("global", client_id="stuck")
    slow, slow_socket = bench.connect("global", client_id="slow")
    idle, _ = bench.connect("global", client_id="idle")
    socket.is_stuck = slow_socket.is_stuck = True
    bench.publish(event(1))
    bench.settle()
    sweep = _sweep(bench)

    for now in (1, 20, 31, 32):
        stuck.last_heard = slow.last_heard = now
        slow_socket.backlog -= 1
        assert sweep.run(now) == []
    stuck.last_heard = idle.last_heard = now = 62
    slow_socket.backlog -= 1
    sweep.run(now)

    assert socket.closed == (CloseCode.STALLED, "you took nothing for too long")
    assert set(bench.hub.connections) == {"slow", "idle"}
    assert bench.hub.counters.stalled == 1


def test_a_dead_peer_does_not_seem_alive_because_the_kernel_takes_heartbeats() -> None:
    bench = Bench()
    connection, _ = bench.connect("global")
    sweep = _sweep(bench)

    for now in (25, 50):
        sweep.run(now)
    assert connection.last_heard == 0
    assert connection.taken_at == 50
    assert [stale.connection for stale in sweep.run(61)] == [connection]


def test_while_the_bridge_itself_was_stopped_nobody_was_silent_and_nobody_refused_to_take() -> None:
    bench = Bench()
    stuck, stuck_socket = bench.connect("global", client_id="stuck")
    silent, _ = bench.connect("global", client_id="silent")
    sweep = _sweep(bench, period=1)
    stuck_socket.is_stuck, stuck_socket.backlog = True, 10
    for now in range(20):
        stuck.last_heard = now
        assert sweep.run(now) == []

    assert sweep.run(3600) == []
    assert (silent.last_heard, stuck.last_heard, stuck.taken_at) == (3580, 3599, 3580)

    ended = {now: [stale.connection for stale in sweep.run(now)] for now in range(3601, 3642)}
    assert stuck_socket.closed == (CloseCode.STALLED, "you took nothing for too long")
    assert ended.pop(3641) == [silent]
    assert not any(ended.values())
