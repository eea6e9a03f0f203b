"""Log lines go to stderr, for people or for machines, from a chosen level on."""

import json
from collections.abc import Iterator

import pytest
import structlog

from bridge import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_machines_get_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    structlog.get_logger().warning("nats disconnected", attempts=3)

    out, err = capsys.readouterr()
    line = json.loads(err)
    assert out == ""
    assert (line["event"], line["level"], line["attempts"]) == ("nats disconnected", "warning", 3)
    assert line["timestamp"].endswith("Z")


def test_an_exception_is_in_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        structlog.get_logger().exception("failed")

    assert "by zero" in json.loads(capsys.readouterr().err)["exception"]


def test_people_get_a_line_without_colours_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "console")
    structlog.get_logger().info("listening", port=8000)

    err = capsys.readouterr().err
    assert "listening" in err
    assert "port=8000" in err
    assert "\x1b" not in err


def test_what_is_below_the_level_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("error", "json")
    structlog.get_logger().warning("no matter")

    assert capsys.readouterr().err == ""
