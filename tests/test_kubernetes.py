"""The Kubernetes objects of the README: they name what there is, and leave a bridge the time it needs."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bridge.config import PREFIX, Settings
from bridge.web import probes

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text().partition("```yaml\n")[2].partition("```")[0]
DEPLOYMENT, BUDGET = YAML(typ="safe").load_all(TEXT)
POD: dict[str, Any] = DEPLOYMENT["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
END_SECONDS = 5
"""What a bridge that has sent its clients away takes to end, at most."""


def test_they_are_a_deployment_and_a_budget_for_its_pods() -> None:
    assert [(thing["apiVersion"], thing["kind"]) for thing in (DEPLOYMENT, BUDGET)] == [
        ("apps/v1", "Deployment"),
        ("policy/v1", "PodDisruptionBudget"),
    ]
    labels = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]
    assert (
        DEPLOYMENT["spec"]["selector"]["matchLabels"] == BUDGET["spec"]["selector"]["matchLabels"] == labels
    )
    assert DEPLOYMENT["spec"]["replicas"] > BUDGET["spec"]["maxUnavailable"]


def test_the_probes_ask_the_routes_that_answer_them() -> None:
    paths = {route.name: route.path for route in probes.ROUTES}
    port = Settings.model_fields["port"].default

    for name, probe in (("ready", CONTAINER["readinessProbe"]), ("alive", CONTAINER["livenessProbe"])):
        assert probe["httpGet"] == {"path": paths[name], "port": port}
    assert CONTAINER["ports"] == [{"containerPort": port}]


def test_every_variable_is_a_setting_and_kubernetes_adds_none() -> None:
    given = {one["name"].removeprefix(PREFIX).lower(): one["value"] for one in CONTAINER["env"]}

    assert given.keys() <= Settings.model_fields.keys()
    assert Settings(**given).nats_url == given["nats_url"] != "embedded"
    assert POD["enableServiceLinks"] is False


def test_there_is_time_to_send_all_clients_away() -> None:
    waits = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert POD["terminationGracePeriodSeconds"] >= waits + Settings().drain_seconds + END_SECONDS


def test_it_runs_as_the_user_of_the_image() -> None:
    user = CONTAINER["securityContext"]["runAsUser"]

    assert f"\nUSER {user}:" in (ROOT / "Dockerfile").read_text()
    assert CONTAINER["image"] == "crew-bridge"
