"""The alert rules: valid, explained, and each tried both ways."""

import re
from pathlib import Path

from tests.prometheus import GRAFANA, promtool

CASES = Path(__file__).parent / "alerts.yml"
ALERTS = re.findall(r"- alert: (\w+)", (GRAFANA / "rules" / "alerts.yml").read_text())


def test_the_configuration_and_its_rules_are_valid() -> None:
    promtool("check", "config", GRAFANA / "prometheus.yml")
    promtool("check", "rules", *sorted((GRAFANA / "rules").glob("*.yml")))


def test_every_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", CASES)


def test_rules_know_bridges_by_their_numbers_and_not_by_the_name_of_a_job() -> None:
    for path in (GRAFANA / "rules").glob("*.yml"):
        rules = re.sub(r"#.*", "", path.read_text())
        assert not re.search(r"\b(job|instance)\s*=", rules), path


def test_no_alert_is_left_untried() -> None:
    named = re.findall(r"- name: (\w+ (?:fires|is quiet))$", CASES.read_text(), flags=re.MULTILINE)

    assert ALERTS
    assert sorted(named) == sorted(f"{alert} {what}" for alert in ALERTS for what in ("fires", "is quiet"))


def test_every_alert_says_what_to_do() -> None:
    text = (GRAFANA / "rules" / "alerts.yml").read_text()
    for rule in text.split("- alert: ")[1:]:
        assert re.search(r"labels: \{severity: (critical|warning)\}", rule), rule
        for annotation in ("summary", "description", "runbook"):
            assert re.search(rf"^          {annotation}: \S", rule, flags=re.MULTILINE), rule
