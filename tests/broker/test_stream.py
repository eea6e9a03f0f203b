"""The stream is made as it was set up, or taken as an operator made it."""

import pytest
from nats.aio.client import Client
from nats.js.api import StorageType, StreamConfig, StreamInfo
from structlog.testing import capture_logs

from bridge.broker.stream import ensure_stream, epoch_of, missing_subjects
from tests.broker.sink import NAME, settings


async def test_a_missing_stream_is_made_with_the_settings(client: Client) -> None:
    chosen = settings("task", "agent", max_bytes=10_000_000, max_age_seconds=90.0, storage="memory")

    config = (await ensure_stream(client, chosen)).config

    assert config.name == NAME
    assert config.subjects == ["task.>", "agent.>"]
    assert config.max_bytes == 10_000_000
    assert config.max_age == 90
    assert config.storage == StorageType.MEMORY
    assert config.num_replicas == 1
    assert config.allow_msg_ttl
    assert config.duplicate_window == 90, "no longer than anything is kept"


async def test_an_event_that_is_sent_again_after_minutes_is_known(client: Client) -> None:
    config = (await ensure_stream(client, settings())).config

    assert config.duplicate_window == 600


async def test_a_message_in_it_may_expire(client: Client) -> None:
    await ensure_stream(client, settings())

    await client.jetstream().publish("task.progress", b"{}", headers={"Nats-TTL": "60"})


async def test_a_stream_that_is_there_is_taken_as_it_is(client: Client) -> None:
    made = await client.jetstream().add_stream(StreamConfig(name=NAME, subjects=["task.>"], max_msgs=5))

    with capture_logs() as lines:
        info = await ensure_stream(client, settings("task"))

    assert info.config == made.config
    assert lines == []


async def test_one_that_somebody_else_made_is_not_widened(client: Client) -> None:
    await client.jetstream().add_stream(StreamConfig(name=NAME, subjects=["task.>"]))

    info = await ensure_stream(client, settings("task", "llm"))

    assert info.config.subjects == ["task.>"]
    assert missing_subjects(info.config, ["task.>", "llm.>"]) == ["llm.>"]


async def test_one_that_a_bridge_made_is_widened_and_loses_nothing(client: Client) -> None:
    made = await ensure_stream(client, settings("task", subjects=("task.*", "crew.>")))
    await client.jetstream().publish("crew.started", b"{}")

    info = await ensure_stream(client, settings("task", "llm"))
    again = await ensure_stream(client, settings("llm"))

    assert info.config.subjects == again.config.subjects == ["crew.>", "task.>", "llm.>"]
    assert (info.created, info.state.messages) == (made.created, 1)
    await client.jetstream().publish("task.progress", b"{}", headers={"Nats-TTL": "60"})


@pytest.mark.parametrize(
    ("subjects", "wanted", "missing"),
    [
        (["task.>"], ["task.>"], []),
        ([">"], ["task.>", "a.b"], []),
        (["task.>", "llm.*"], ["task.>"], []),
        (["task.*", "task.*.*.*"], ["task.>"], []),
        (["task.*"], ["task.>"], ["task.>"]),
        (["task.>"], ["task.>", "llm.>"], ["llm.>"]),
        (["a.b.*"], ["a.b.>"], ["a.b.>"]),
        (["a.*.>"], ["a.b.>", "a.b.c", "a.b"], ["a.b"]),
        (None, ["a.b"], ["a.b"]),
    ],
)
def test_a_stream_lacks_what_none_of_its_subjects_takes(
    subjects: list[str] | None, wanted: list[str], missing: list[str]
) -> None:
    assert missing_subjects(StreamConfig(name=NAME, subjects=subjects), wanted) == missing


async def test_two_readers_name_the_incarnation_alike_and_a_new_one_otherwise(client: Client) -> None:
    first = epoch_of(await ensure_stream(client, settings()))
    second = epoch_of(await ensure_stream(client, settings()))
    await client.jetstream().delete_stream(NAME)
    third = epoch_of(await ensure_stream(client, settings()))

    assert first == second
    assert third != first


async def test_an_answer_without_a_creation_time_has_no_epoch(client: Client) -> None:
    info = await ensure_stream(client, settings())
    nameless = StreamInfo(config=info.config, state=info.state)

    with pytest.raises(TypeError, match="did not say when"):
        epoch_of(nameless)
