"""Time is measured without the pauses of the process that measures it."""

from bridge.core.pauses import AwakeClock


def test_a_clock_that_was_not_read_for_long_goes_on_as_if_it_had_been() -> None:
    now = 100.0
    clock = AwakeClock(lambda: now, 1.0)
    assert clock() == 100

    now = 101.5
    assert clock() == 101.5, "somewhat late is no pause"
    now = 1001.5
    assert clock() == 102.5
    now = 1002.0
    assert clock() == 103
