"""What the bridge says of its routes is what they are."""

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Any

import pytest

from bridge.web.app import create_app
from tests.client import PREFIX
from tests.conftest import Client, StartBridge
from tests.nats_server import NatsServer

UNDESCRIBED = {"HEAD"}
"""Every GET has one."""


async def test_every_route_of_the_application_is_described_and_no_other(bridge: Client) -> None:
    _, api = await bridge.get("/openapi.json")
    described = {(path, method.upper()) for path, operations in api["paths"].items() for method in operations}
    served = {
        (route.resource.canonical, route.method)
        for route in create_app(PREFIX).router.routes()
        if route.resource is not None and route.method not in UNDESCRIBED
    }

    assert described == served
    assert api["openapi"] == "3.1.0"
    assert api["servers"] == [{"url": "."}]


async def test_every_schema_that_is_referred_to_is_there_and_has_the_keys_that_are_promised(
    bridge: Client,
) -> None:
    _, api = await bridge.get("/openapi.json")
    schemas = api["components"]["schemas"]
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(api)))

    assert referred <= schemas.keys()
    assert schemas["Health"]["properties"].keys() >= {
        *("status", "active_connections", "total_messages_sent", "uptime_seconds", "last_cleanup"),
    }
    assert schemas["ConnectionsData"]["properties"].keys() >= {
        *("active_connections", "subscription_counts", "average_connection_duration"),
        "uptime_statistics",
    }
    parameters = api["paths"][f"{PREFIX}/connections"]["get"]["parameters"]
    assert {parameter["name"] for parameter in parameters} == {
        *("limit", "after", "subscription", "endpoint", "principal", "min_lag"),
    }
    assert all(parameter["description"] for parameter in parameters if parameter["name"] == "min_lag")


async def test_operations_have_names_of_their_own_and_say_what_they_refuse(bridge: Client) -> None:
    _, api = await bridge.get("/openapi.json")
    operations = [one for path in api["paths"].values() for one in path.values()]
    names = [operation["operationId"] for operation in operations]

    assert len(names) == len(set(names))
    assert all(operation["summary"] for operation in operations)
    disconnect = api["paths"][PREFIX + "/disconnect/{client_id}"]["post"]
    assert disconnect["responses"].keys() == {"200", "400", "403", "404", "408", "413", "421", "422"}
    assert not disconnect["requestBody"]["required"]
    assert api["paths"][f"{PREFIX}/broadcast"]["post"]["requestBody"]["required"]


async def test_the_page_of_the_description_needs_nothing_from_elsewhere(bridge: Client) -> None:
    status, page = await bridge.get("/docs")

    assert status == 200
    assert "openapi.json" in page
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)


@pytest.mark.timeout(180)
async def test_schemathesis_finds_no_route_that_is_not_as_described(
    start_bridge: StartBridge, tmp_path: Path
) -> None:
    """It makes up requests, good and bad; a broadcast asks for more than a schema can say."""
    server = NatsServer(tmp_path)
    server.start()
    async with start_bridge(nats_url=server.url, log_level="error") as bridge:
        arguments: list[Any] = [
            *("run", f"{bridge.url}/openapi.json"),
            *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "5", "--workers", "1"),
            *("--generation-database", "none", "--seed", "1", "--no-color"),
            *("--request-timeout", "10", "--suppress-health-check", "all", "--max-time", "25"),
        ]
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("schemathesis"),
            *arguments,
            cwd=tmp_path,
            stdout=PIPE,
            stderr=STDOUT,
        )
        words, _ = await process.communicate()
        assert process.returncode == 0, words.decode()
        assert (await bridge.get("/healthz"))[0] == 200
    server.stop()
