"""The oracle: what follows from the record for each browser, and whether that is what it was given.

It knows no deadlines: what a browser passed while it was there is to be given, however slow the machine is.
"""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from tests.e2e.chaos.browser import Browser, Shared
from tests.e2e.chaos.crew import Crew
from tests.e2e.chaos.record import Truth

_MARGIN_SECONDS = 2.0
"""What was about to expire when a browser passed it may have been read already, or not any more."""
_SHOWN = 9


def wanted(browser: Browser, truth: Truth) -> list[int]:
    """The sequence numbers of what the browser is to be given."""
    assert browser.begin is not None
    return [seq for seq, event in truth.items() if seq > browser.begin and browser.view.wants(event.body)]


def differences(browser: Browser, truth: Truth) -> str | None:
    """Say what is neither given nor announced as a gap, what is too much, and what is out of order."""
    expected = set(wanted(browser, truth))
    given = set(browser.seqs)
    wrong = {
        "missing": [seq for seq in sorted(expected - given) if not _is_excused(browser, truth, seq)],
        "surplus": sorted(given - expected),
        "out of order": [b for a, b in zip(browser.seqs, browser.seqs[1:], strict=False) if b <= a],
    }
    told = {name: seqs for name, seqs in wrong.items() if seqs}
    if not told:
        return None
    counted = ", ".join(f"{len(seqs)} {name} {seqs[:_SHOWN]}" for name, seqs in told.items())
    return f"{browser}: {counted}; begin {browser.begin}, gaps {browser.gaps[-_SHOWN:]}"


def _is_excused(browser: Browser, truth: Truth, seq: int) -> bool:
    """Whether the event was announced as lost, or had lived its time when the browser came to it."""
    if any(begin <= seq <= end for begin, end, _ in browser.gaps):
        return True
    expires = truth[seq].expires
    return expires is not None and browser.passed_at(seq) > expires - _MARGIN_SECONDS


def broken_promises(browser: Browser, truth: Truth) -> list[str]:
    """List the answers ``recovered: true`` after which something that stays did not come."""
    given = set(browser.seqs)
    owed = [seq for seq in wanted(browser, truth) if truth[seq].expires is None]
    broken = []
    for begin, end in browser.promises:
        promised = owed[bisect_left(owed, begin) : bisect_right(owed, end)]
        if lost := [seq for seq in promised if seq not in given]:
            broken.append(f"{browser}: told recovered {begin} to {end}, without {lost[:_SHOWN]}")
    return broken


def check_stream(crews: Iterable[Crew], truth: Truth) -> None:
    """What was acknowledged was stored once, in the order in which each publisher sent it."""
    order: dict[str, list[str]] = {}
    for event in truth.values():
        order.setdefault(event.body.get("execution_id", ""), []).append(event.body["event_id"])
    for crew in crews:
        assert crew.acked, "a publisher that publishes nothing proves nothing"
        assert order.get(crew.execution_id) == crew.acked, (
            f"{crew.execution_id} is not stored as acknowledged"
        )


def check_kept(truth: Truth, left: Truth) -> None:
    """What stays and was stored once is there in the end, under the same number."""
    lost = [seq for seq, event in truth.items() if event.expires is None and left.get(seq) != event]
    assert not lost, f"{len(lost)} stored events are gone or others: {lost[:_SHOWN]}"


def check_browsers(browsers: Iterable[Browser], shared: Shared, truth: Truth) -> None:
    """Every browser has exactly what its view wants, as it was published, and was told of no gap."""
    browsers = list(browsers)
    assert [browser.gaps for browser in browsers if browser.gaps] == []
    check_given_or_announced(browsers, shared, truth)


def check_given_or_announced(browsers: Iterable[Browser], shared: Shared, truth: Truth) -> None:
    """Every browser has what its view wants or was told of a gap, and no ``recovered`` was false."""
    browsers = list(browsers)
    check_no_silent_hole(browsers, shared, truth)
    broken = [text for browser in browsers for text in broken_promises(browser, truth)]
    assert not broken, broken[:10]


def check_no_silent_hole(browsers: Iterable[Browser], shared: Shared, truth: Truth) -> None:
    """Every browser has what its view wants, as it was published, or was told of a gap."""
    assert not shared.problems, shared.problems[:10]
    wrong = [text for text in (differences(browser, truth) for browser in browsers) if text]
    assert not wrong, wrong[:10]
    assert len(shared.epochs) == 1
    for seq, payload in shared.payloads.items():
        given = json.loads(payload)
        assert given.pop("seq") == seq
        assert given.pop("position").startswith(f"{seq}-")
        assert given == truth[seq].body, f"{seq} is not what was stored"
