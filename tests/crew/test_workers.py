"""Several workers on one execution: what each of them published of it can be counted."""

import pytest

from tests.crew.crewai_process import CrewProcess
from tests.crew.stored import everything
from tests.crew.truth import assert_dense


async def test_workers_that_are_given_the_same_name_each_count_their_own_part(
    crew_process: CrewProcess, stream_url: str, source: str
) -> None:
    for _ in range(2):
        crew_process.run("named", source, nats_url=stream_url, source=source)

    stored = await everything(stream_url, source)
    assert {message.event["execution_id"] for message in stored} == {source}
    assert len({message.worker for message in stored}) == 2
    assert_dense(stored)
    lost = next(place for place, message in enumerate(stored) if message.type == "tool.started")
    with pytest.raises(AssertionError):
        assert_dense([*stored[:lost], *stored[lost + 1 :]])
