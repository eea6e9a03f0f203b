"""The pump, with a clock and a loop of our own."""

from collections.abc import Callable, Iterator

from bridge.core.pump import DUTY, SLICE_SECONDS, SLICE_STEPS, Pump

MAX_DELAY = 0.025


class Loop:
    """Callbacks in order of time; time passes only in rests and where a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rests: list[float] = []
        self._due: list[tuple[float, Callable[[], None]]] = []

    def soon(self, callback: Callable[[], None]) -> None:
        self.later(0.0, callback, is_rest=False)

    def later(self, seconds: float, callback: Callable[[], None], *, is_rest: bool = True) -> None:
        if is_rest:
            self.rests.append(seconds)
        self._due.append((self.now + seconds, callback))

    def clock(self) -> float:
        return self.now

    def run_one(self) -> bool:
        """Run the next callback, if there is one."""
        if not self._due:
            return False
        self._due.sort(key=lambda due: due[0])
        at, callback = self._due.pop(0)
        self.now = max(self.now, at)
        callback()
        return True

    def run(self) -> None:
        while self.run_one():
            pass


class Work:
    """Cycles of ``steps`` that take ``seconds`` each."""

    def __init__(self, steps: int, seconds: float) -> None:
        self.loop = Loop()
        self.steps = steps
        self.seconds = seconds
        self.cycles = 0
        self.running = 0
        self.taken: list[int] = []
        self.during: list[Callable[[], None]] = []
        self.pump = Pump(
            self.flush, soon=self.loop.soon, later=self.loop.later, clock=self.loop.clock, max_delay=MAX_DELAY
        )

    def flush(self) -> Iterator[None]:
        assert not self.running, "two cycles at once"
        self.running += 1
        self.cycles += 1
        for _ in range(self.steps):
            self.loop.now += self.seconds
            if self.during:
                self.during.pop()()
            yield
        self.running -= 1


def test_an_idle_pump_flushes_at_the_end_of_the_loop_iteration() -> None:
    work = Work(1, 0.0)

    work.pump.wake()
    work.pump.wake()
    assert work.cycles == 0
    work.loop.run_one()

    assert (work.cycles, work.loop.now) == (1, 0.0)


def test_one_wake_is_one_cycle_and_then_silence() -> None:
    work = Work(3, 0.0001)

    work.pump.wake()
    work.loop.run()

    assert work.cycles == 1


def test_after_a_cycle_it_rests_as_many_times_as_long_as_it_was_busy() -> None:
    work = Work(10, 0.0001)

    work.pump.wake()
    work.loop.run_one()
    work.pump.wake()
    assert work.cycles == 1
    work.loop.run_one()

    assert work.cycles == 2
    assert abs(work.loop.rests[0] - DUTY * 0.001) < 1e-9


def test_nothing_happens_at_the_end_of_a_rest_that_nobody_waits_for() -> None:
    work = Work(10, 0.0001)

    work.pump.wake()
    turns = _turns_until_idle(work)

    assert (turns, work.loop.rests) == (1, [])


def test_what_comes_later_waits_for_what_is_left_of_the_rest() -> None:
    work = Work(10, 0.0004)
    work.pump.wake()
    work.loop.run_one()

    work.loop.now += 0.006
    work.pump.wake()
    work.loop.run_one()

    assert work.cycles == 2
    assert abs(work.loop.rests[0] - 0.002) < 1e-9


def test_what_comes_waits_for_the_longest_rest_at_most() -> None:
    work = Work(20, 0.002)

    work.pump.wake()
    work.during = [work.pump.wake]
    work.loop.run()

    assert work.cycles == 2
    assert [round(rest, 9) for rest in work.loop.rests] == [MAX_DELAY]


def test_a_busy_time_is_counted_over_all_slices_and_begins_anew_with_each_cycle() -> None:
    work = Work(3, 0.0025)
    work.during = [work.pump.wake, work.pump.wake, lambda: None, work.pump.wake]

    work.pump.wake()
    work.loop.run()

    assert work.cycles == 3
    assert [round(rest, 9) for rest in work.loop.rests] == [DUTY * 0.0075] * 2


def test_a_cycle_gives_the_loop_back_after_so_many_steps() -> None:
    work = Work(SLICE_STEPS * 2 + 1, 0.0)

    work.pump.wake()
    turns = _turns_until_idle(work)

    assert turns == 3
    assert work.cycles == 1


def test_a_cycle_gives_the_loop_back_when_a_step_ends_after_so_long() -> None:
    work = Work(10, SLICE_SECONDS / 2)
    held: list[float] = []

    work.pump.wake()
    began = work.loop.now
    while work.running or not held:
        work.loop.run_one()
        held.append(work.loop.now - began)
        began = work.loop.now

    assert max(held) <= SLICE_SECONDS + 1e-9
    assert work.cycles == 1
    assert sum(work.pump.turns.counts) == len(held)
    assert abs(work.pump.turns.total - 25_000) < 10


def test_a_wake_during_a_cycle_leads_to_another_and_never_to_two_at_once() -> None:
    work = Work(SLICE_STEPS + 1, 0.00001)
    work.during = [work.pump.wake]

    work.pump.wake()
    work.loop.run()

    assert work.cycles == 2


def test_a_wake_during_the_rest_does_not_cut_it_short() -> None:
    work = Work(1, 0.004)

    work.pump.wake()
    work.loop.run_one()
    rested_from = work.loop.now
    work.pump.wake()
    work.loop.run_one()

    assert work.cycles == 2
    assert work.loop.now - 0.004 - rested_from >= DUTY * 0.004 - 1e-9


def test_after_silence_it_is_at_once_again() -> None:
    work = Work(1, 0.004)
    work.pump.wake()
    work.loop.run()
    idle_at = work.loop.now = work.loop.now + 10.0

    work.pump.wake()
    work.loop.run_one()

    assert (work.cycles, work.loop.now) == (2, idle_at + 0.004)


def _turns_until_idle(work: Work) -> int:
    turns = 0
    while work.loop.run_one():
        turns += 1
    return turns
