"""For how many connections an event is."""

from bridge.core.reach import reach
from tests.core.parts import LIMIT, Bench, event


def test_it_is_for_those_whose_view_wants_it_also_if_they_come_to_it_later() -> None:
    bench = Bench()
    bench.connect("global", client_id="one")
    bench.connect("crew_c1", client_id="two")
    bench.connect("crew_c2", client_id="three")
    _, slow = bench.connect("global", client_id="slow")
    slow.is_stuck, slow.backlog = True, LIMIT + 1
    bench.publish(event(1, crew="c1"))
    bench.settle()
    bench.publish(event(2, crew="c1"))

    assert reach(bench.hub, 2) == (3, 1)


def test_an_addressed_event_is_for_its_addressee_whatever_its_view() -> None:
    bench = Bench()
    bench.connect("crew_c2", client_id="one")
    bench.connect("global", client_id="two")
    bench.publish(event(1, client_id="one", crew="c1"), event(2, client_id="nobody"))

    assert reach(bench.hub, 1) == (1, 0)
    assert reach(bench.hub, 2) == (0, 0)


def test_an_audience_decides_instead_of_the_subject() -> None:
    bench = Bench()
    bench.connect("global", client_id="one")
    bench.connect("crew_c1", client_id="two")
    bench.connect(client_id="three")
    bench.publish(
        event(1, audience="crew_c1"), event(2, audience="everyone"), event(3, audience="task_updates")
    )

    assert [reach(bench.hub, seq).reached for seq in (1, 2, 3)] == [2, 3, 1]


def test_what_is_not_in_the_log_is_for_nobody() -> None:
    bench = Bench()
    bench.connect("global")
    bench.publish(event(3))

    assert reach(bench.hub, 2) == reach(bench.hub, 4) == (0, 0)
