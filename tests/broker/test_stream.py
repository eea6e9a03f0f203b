"""The stream is made as it was set up, or taken as an operator made it."""

import pytest
from nats.aio.client import Client
from nats.js.api import StorageType, StreamConfig, StreamInfo
from structlog.testing import capture_logs

from bridge.broker.stream import ensure_stream, epoch_of
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


async def test_a_message_in_it_may_expire(client: Client) -> None:
    await ensure_stream(client, settings())

    await client.jetstream().publish("task.progress", b"{}", headers={"Nats-TTL": "60"})


async def test_a_stream_that_is_there_is_taken_as_it_is(client: Client) -> None:
    made = await client.jetstream().add_stream(StreamConfig(name=NAME, subjects=["task.>"], max_msgs=5))

    with capture_logs() as lines:
        info = await ensure_stream(client, settings("task"))

    assert info.config == made.config
    assert lines == []


async def test_subjects_that_it_lacks_are_named_in_a_warning(client: Client) -> None:
    await client.jetstream().add_stream(StreamConfig(name=NAME, subjects=["task.>"]))

    with capture_logs() as lines:
        info = await ensure_stream(client, settings("task", "llm", "agent"))

    assert info.config.subjects == ["task.>"]
    (line,) = lines
    assert line["log_level"] == "warning"
    assert line["missing"] == ["agent.*", "agent.*.*.*", "llm.*", "llm.*.*.*"]


@pytest.mark.parametrize("subjects", [[">"], ["task.>", "llm.*"], ["task.*", "task.*.*.*"]])
async def test_subjects_written_in_another_way_are_not_missed(client: Client, subjects: list[str]) -> None:
    no_ack = subjects == [">"]
    await client.jetstream().add_stream(StreamConfig(name=NAME, subjects=subjects, no_ack=no_ack))

    with capture_logs() as lines:
        await ensure_stream(client, settings("task"))

    assert lines == []


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


async def test_a_stream_that_takes_only_bare_subjects_lacks_the_others(client: Client) -> None:
    await client.jetstream().add_stream(StreamConfig(name=NAME, subjects=["task.*"]))

    with capture_logs() as lines:
        await ensure_stream(client, settings("task"))

    assert [line["missing"] for line in lines] == [["task.*.*.*"]]
