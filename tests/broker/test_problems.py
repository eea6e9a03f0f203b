"""What keeps a bridge from its work is said at once and again, and not at every attempt."""

import asyncio

from structlog.testing import capture_logs

from bridge.broker.problems import Problems
from tests.waiting import until


def test_what_is_wrong_is_there_until_it_is_solved_and_all_of_it_in_one_line() -> None:
    problems = Problems()
    problems.tell("feed", "no room")
    problems.tell("past", "no consumers", blocking=True)
    problems.tell("second feed", "no room")
    assert (problems.reason, problems.is_blocking) == ("no room; no consumers", True)

    problems.solved("past")
    problems.solved("past")
    assert (problems.reason, problems.is_blocking) == ("no room", False)

    problems.tell("feed", "wrong password")
    problems.solved("second feed")
    assert problems.reason == "wrong password"
    problems.solved("feed")
    assert problems.reason is None


def test_the_same_is_logged_once_however_often_and_by_whomever_it_is_told() -> None:
    problems = Problems()
    with capture_logs() as lines:
        for _ in range(100):
            problems.tell("feed", "no room")
            problems.tell("past", "no room")
            problems.solved("feed")
        problems.mention("something denied")
        problems.mention("something denied")
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("error", "no room"),
        ("error", "something denied"),
    ]


async def test_what_is_still_wrong_after_a_while_is_said_again_and_what_is_solved_is_not() -> None:
    problems = Problems(again_seconds=0.1)
    with capture_logs() as lines:
        async with asyncio.TaskGroup() as tasks:
            repeating = tasks.create_task(problems.repeat_for_ever())
            problems.tell("feed", "no room")
            problems.tell("past", "no consumers")
            problems.solved("past")
            await until(lambda: len(lines) > 4)
            repeating.cancel()
    assert [line["event"] for line in lines].count("no consumers") == 1
    assert [line["event"] for line in lines].count("no room") >= 3
