"""A stream that would lose events stops the start; one that is merely other is used."""

import json
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.api import (
    DiscardPolicy,
    PersistMode,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamConsumerLimits,
    StreamSource,
    SubjectTransform,
)
from structlog.testing import capture_logs

from bridge.broker.connection import ConnectionEvents, connected
from bridge.broker.fitness import UnfitStreamError, differences, losses
from bridge.broker.history import History
from bridge.broker.stream import ensure_stream, epoch_of
from bridge.config import Settings
from bridge.service import running
from contracts.catalog import families
from contracts.subjects import ANY, Pattern
from tests.broker.sink import NAME, reading, settings
from tests.client import Client as Browser
from tests.nats_server import NatsServer
from tests.processes import run
from tests.waiting import soon, until

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
        ({"allow_msg_counter": True}, "refuses all that is no number", "BRIDGE_STREAM_NAME"),
        ({"max_consumers": 1}, "nobody could look back", "max_consumers, or set it to -1"),
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
        ({"duplicate_window": 0}, "knows no duplicates"),
        ({"duplicate_window": None}, "knows no duplicates"),
        ({"max_consumers": 9}, "up to 1 + BRIDGE_HISTORY_READS"),
        ({"allow_rollup_hdrs": True}, "publishers may delete"),
        ({"persist_mode": PersistMode.ASYNC}, "before they are stored"),
        ({"max_msg_size": 1000}, "refuses events above 1000 bytes"),
        ({"discard": DiscardPolicy.NEW, "max_bytes": -1}, "max_bytes is without bound"),
    ],
)
def test_what_is_merely_other_is_told_and_loses_nothing(changes: dict[str, Any], words: str) -> None:
    asked: dict[str, Any] = {"max_age": 3600.0, "max_bytes": 1024**3, "allow_msg_ttl": True}
    asked["duplicate_window"] = 120.0
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


@pytest.mark.parametrize(
    "changes",
    [
        {"deny_delete": True, "deny_purge": True},
        {"republish": {"src": ">", "dest": "copies.>"}},
        {"allow_msg_schedules": True},
        {"allow_atomic": True, "allow_batched": True},
        {"compression": "s2"},
        {"first_seq": 1000},
        {"max_consumers": 2},
        {"persist_mode": "async"},
        {"allow_rollup_hdrs": True},
        {"consumer_limits": {"inactive_threshold": 5 * 10**9, "max_ack_pending": 10}},
        {"consumer_limits": {"inactive_threshold": 5 * 10**9}},
        {"consumer_limits": {"max_ack_pending": 10}},
        {"sources": [{"name": "OTHER"}]},
        {"subject_delete_marker_ttl": 60 * 10**9, "allow_msg_ttl": True},
    ],
)
async def test_a_stream_set_up_in_any_way_that_loses_nothing_is_read_live_and_looked_back_into(
    server: NatsServer, client: Client, changes: dict[str, Any]
) -> None:
    await _make(client, changes)
    async with reading(server.url) as read, connected(server.url, "test", ConnectionEvents()) as own:
        await until(lambda: read.feed.is_caught_up)
        first = (await client.jetstream().publish("task.completed", b"1")).seq
        await until(lambda: read.notes.seqs == [first])
        epoch = epoch_of(await client.jetstream().stream_info(NAME))
        stretch = await History(own, NAME, max_bytes=10**6).read(
            epoch, frozenset({Pattern(ANY, ANY, ANY, ANY)}), first - 1, first
        )
    assert [message.seq for message in stretch.messages] == [first]


async def test_limits_that_change_while_the_bridge_looks_back_are_kept_at_the_second_read(
    client: Client, server: NatsServer
) -> None:
    info = await client.jetstream().add_stream(_config())
    async with connected(server.url, "test", ConnectionEvents()) as own:
        history = History(own, NAME, max_bytes=10**6)
        assert await history.count(frozenset(), 0) == 0
        limits = StreamConsumerLimits(inactive_threshold=2.0)
        await client.jetstream().update_stream(info.config, consumer_limits=limits)
        with pytest.raises(OSError, match="inactive threshold"):
            await history.count(frozenset(), 0)
        assert await history.count(frozenset(), 0) == 0


@pytest.mark.parametrize("first_seq", [2**53, 2**53 + 1])
async def test_a_bridge_does_not_start_on_numbers_that_browsers_do_not_count(
    server: NatsServer, client: Client, first_seq: int
) -> None:
    await client.jetstream().add_stream(_config(first_seq=first_seq))

    with pytest.raises(ExceptionGroup) as raised:
        async with reading(server.url):
            await until(lambda: None)

    (error,) = raised.value.exceptions
    assert "its sequence numbers reach 2^53" in str(error)
    assert "BRIDGE_STREAM_NAME" in str(error)


async def test_a_bridge_whose_events_get_such_numbers_later_is_not_ready_any_more(
    server: NatsServer, client: Client
) -> None:
    subjects = [f"{family}.>" for family in sorted(families())]
    await client.jetstream().add_stream(_config(subjects=subjects, first_seq=2**53 - 1, allow_msg_ttl=True))
    async with running(Settings(nats_url=server.url, port=0, health_seconds=0)) as bridge:
        browser = Browser(bridge)
        await soon(lambda: _has_status(browser, 200))
        for _ in range(2):
            await client.jetstream().publish("task.completed", b"{}")
        await soon(lambda: _has_status(browser, 503))
        _, body = await browser.get("/readyz")
    assert "reach 2^53" in body["reason"]


@pytest.mark.parametrize(
    ("limit", "seconds"), [("2m", 120.0), ("1m30s", 90.0), ("500ms", 0.5), ("1h", 600.0)]
)
async def test_a_server_that_limits_the_duplicate_window_gets_a_stream_within_it(
    tmp_path: Path, limit: str, seconds: float
) -> None:
    server = NatsServer(tmp_path)
    server.configure(f'jetstream {{ limits {{ duplicate_window: "{limit}" }} }}')
    server.start()
    async with connected(server.url, "test", ConnectionEvents()) as own:
        with capture_logs() as lines:
            config = (await ensure_stream(own, settings())).config
    assert config.duplicate_window == seconds
    limited = [line["seconds"] for line in lines if line["log_level"] == "warning"]
    assert limited == ([seconds] if seconds < 600 else [])
    server.stop()


async def _make(client: Client, changes: dict[str, Any]) -> None:
    """In the server's own words: nats-py leaves some out."""
    config = {"name": NAME, "subjects": ["task.>"], "storage": "file", "num_replicas": 1} | changes
    answer = await client.request(f"$JS.API.STREAM.CREATE.{NAME}", json.dumps(config).encode())
    assert "error" not in json.loads(answer.data), answer.data


async def _has_status(browser: Browser, status: int) -> bool:
    return (await browser.get("/readyz"))[0] == status
