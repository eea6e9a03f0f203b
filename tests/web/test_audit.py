"""What the record says of a change, however that ends."""

import asyncio

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bridge.core.counters import Counters
from bridge.web.audit import Act, Audit
from bridge.web.errors import UnknownClientError, refuse
from contracts import ContractError
from contracts.operations import Coverage
from tests.web.test_fleet import Stream

ALONE = Coverage(instance="a", answered=["a"], missing=[], reachable=True)


def audit_of(counters: Counters) -> Audit:
    return Audit("a", Stream(), counters, lambda work: work.close())


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (refuse(422, "invalid_subscription", "no"), "invalid_subscription"),
        (web.HTTPMethodNotAllowed("PUT", ["GET"]), "http"),
        (UnknownClientError("me", ALONE), "unknown_client"),
        (ContractError("audience", "no"), "invalid_request"),
        (OSError("no NATS"), "unavailable"),
        (ZeroDivisionError(), "internal"),
        (asyncio.CancelledError(), "cancelled"),
    ],
)
def test_what_fails_is_recorded_with_the_reason_and_raised(error: BaseException, outcome: str) -> None:
    act = Act("disconnect", "me", parameters={"code": 4003})
    with capture_logs() as logged, pytest.raises(type(error)), audit_of(Counters()).recording(act):
        raise error

    assert [(line["event"], line["target"], line["outcome"], line["code"]) for line in logged] == [
        ("disconnect", "me", outcome, 4003)
    ]


def test_an_act_within_an_act_is_a_part_of_it() -> None:
    audit = audit_of(Counters())
    with capture_logs() as logged:
        with audit.recording(Act("clean_up", remote="10.0.0.1")), audit.recording(Act("clean_up")) as act:
            act.parameters["removed"] = 3
        with audit.recording(Act("disconnect")):
            pass

    assert [(line["event"], line["remote"], line.get("removed")) for line in logged] == [
        ("clean_up", "10.0.0.1", 3),
        ("disconnect", None, None),
    ]
