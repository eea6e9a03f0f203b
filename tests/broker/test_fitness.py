"""A stream that would lose events stops the start; one that is merely other is used."""

from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.api import (
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamSource,
    SubjectTransform,
)

from bridge.broker.fitness import UnfitStreamError, differences, losses
from bridge.broker.stream import ensure_stream
from tests.broker.sink import NAME, reading, settings
from tests.nats_server import NatsServer
from tests.processes import run
from tests.waiting import until

GOOD: dict[str, Any] = {"name": NAME, "subjects": ["task.>"], "storage": StorageType.FILE, "num_replicas": 1}


def _config(**changes: Any) -> StreamConfig:
    return StreamConfig(**GOOD | changes)


@pytest.mark.parametrize(
    ("changes", "what", "remedy"),
    [
        ({"subjects": ["llm.>"]}, "does not take all of task.>", "add these to its subjects"),
        ({"retention": RetentionPolicy.WORK_QUEUE}, "retention is workqueue", "BRIDGE_STREAM_NAME"),
        ({"retention": RetentionPolicy.INTEREST}, "retention is interest", "BRIDGE_STREAM_NAME"),
        ({"discard": DiscardPolicy.NEW, "max_bytes": 10**9}, "refuses new events", "discard to old"),
        ({"max_msgs_per_subject": 3}, "keeps 3 events of each subject", "max_msgs_per_subject to -1"),
        (
            {"max_age": 60.0},
            "keeps events for 60 s",
            "raise its max_age, or lower BRIDGE_STREAM_MAX_AGE_SECONDS",
        ),
        ({"max_bytes": 10_000}, "keeps 10000 bytes", "BRIDGE_STREAM_MAX_BYTES"),
        ({"storage": StorageType.MEMORY}, "in memory", "BRIDGE_STREAM_STORAGE=memory"),
        ({"mirror": StreamSource(name="OTHER"), "subjects": None}, "mirrors", "BRIDGE_STREAM_NAME"),
        ({"sealed": True}, "sealed", "BRIDGE_STREAM_NAME"),
        ({"no_ack": True}, "acknowledges nothing", "no_ack to false"),
        ({"subject_transform": SubjectTransform(src=">", dest="x.>")}, "other subjects", "subject_transform"),
    ],
)
def test_what_loses_events_is_named_with_what_to_change(
    changes: dict[str, Any], what: str, remedy: str
) -> None:
    (finding,) = losses(_config(**changes), settings())

    assert what in finding.what
    assert remedy in finding.remedy


def test_fewer_replicas_than_asked_for_lose_events_with_their_machine() -> None:
    (finding,) = losses(_config(num_replicas=1), settings(replicas=3))

    assert str(finding) == "it has 1 replicas: raise its num_replicas, or lower BRIDGE_STREAM_REPLICAS"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_age": 1800.0}, "max_age is 1800.0, not 3600.0"),
        ({"max_bytes": -1}, "max_bytes is without bound"),
        ({"num_replicas": 3}, "num_replicas is 3, not 1"),
        ({"max_msgs": 5}, "keeps 5 events at most"),
        ({"allow_msg_ttl": None}, "short-lived events stay as long"),
        ({"duplicate_window": 10.0}, "knows duplicates for 10 s only"),
        ({"max_msg_size": 1000}, "refuses events above 1000 bytes"),
        ({"discard": DiscardPolicy.NEW, "max_bytes": -1}, "max_bytes is without bound"),
    ],
)
def test_what_is_merely_other_is_told_and_loses_nothing(changes: dict[str, Any], words: str) -> None:
    asked: dict[str, Any] = {"max_age": 3600.0, "max_bytes": 1024**3, "allow_msg_ttl": True}
    config = _config(**asked | changes)

    assert losses(config, settings()) == []
    assert [words in str(finding) for finding in differences(config, settings())] == [True]


def test_files_instead_of_memory_are_merely_other() -> None:
    found = differences(_config(), settings(storage="memory"))

    assert any("in files" in finding.what for finding in found)


async def test_the_stream_that_a_bridge_makes_is_as_it_was_asked_for(client: Client) -> None:
    made = (await ensure_stream(client, settings())).config

    assert losses(made, settings()) == []
    assert differences(made, settings()) == []


async def test_what_a_server_says_of_a_bad_stream_is_understood(client: Client) -> None:
    bad = {"retention": RetentionPolicy.WORK_QUEUE, "discard": DiscardPolicy.NEW, "max_bytes": 10_000}
    info = await client.jetstream().add_stream(_config(**bad | {"storage": StorageType.MEMORY}))

    found = [finding.what for finding in losses(info.config, settings())]

    assert found == [
        "it refuses new events when it is full",
        "its retention is workqueue: what was read is deleted",
        "it keeps 10000 bytes",
        "it is in memory, and gone when NATS restarts",
    ]


async def test_a_bridge_does_not_start_on_a_stream_that_would_lose_events(
    server: NatsServer, client: Client, tmp_path: Path
) -> None:
    await client.jetstream().add_stream(StreamConfig(name=NAME, subjects=["task.>"], max_msgs_per_subject=7))

    done = run("serve", nats_url=server.url, port=0, extra_families="invoice", log_level="error")

    assert done.returncode == 1
    line = done.stderr.removesuffix("\n")
    assert "\n" not in line
    assert line.startswith(
        f"crew-bridge: the stream {NAME} would lose events: it does not take all of a2a.>, "
    )
    assert "invoice.>, knowledge.>" in line
    assert "tool.>: add these to its subjects; it keeps 7 events of each subject: set its" in line


async def test_a_stream_that_turns_bad_later_is_complained_of_and_read_on(
    server: NatsServer, client: Client
) -> None:
    async with reading(server.url, heartbeat=0.2) as read:
        await until(lambda: read.feed.is_caught_up)
        await client.jetstream().delete_stream(NAME)
        await client.jetstream().add_stream(
            StreamConfig(name=NAME, subjects=["task.>"], max_msgs_per_subject=7)
        )
        await until(lambda: len(read.notes.begins) == 2)
        await client.jetstream().publish("task.completed", b"1")
        await until(lambda: read.notes.seqs)


async def test_the_feed_of_a_bad_stream_ends_with_what_is_wrong(server: NatsServer, client: Client) -> None:
    await client.jetstream().add_stream(StreamConfig(name=NAME, subjects=["task.>"], max_msgs_per_subject=7))

    with pytest.raises(ExceptionGroup) as raised:
        async with reading(server.url):
            await until(lambda: None)

    (error,) = raised.value.exceptions
    assert isinstance(error, UnfitStreamError)
