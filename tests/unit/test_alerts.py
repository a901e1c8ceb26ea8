"""Alert rules speak of metrics that the code has, with the labels that they have."""

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

import services
import shared.observability.metrics

RULES = Path(__file__).parents[2] / "deploy" / "observability" / "alerts.yaml"


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def exported() -> set[str]:
    assert shared.observability.metrics
    for found in pkgutil.walk_packages(services.__path__, "services."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    return {name for names in REGISTRY._collector_to_names.values() for name in names}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_names_metrics_that_exist_and_says_what_to_do(rule: dict[str, Any]) -> None:
    named = set(re.findall(r"imagegen_\w+", rule["expr"]))
    assert named
    assert named <= exported()
    assert rule["annotations"]["action"]


INCREASE = re.compile(r"increase\(([^\[]+)\[(\w+)\]\)")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_also_sees_the_first_event_of_a_series(rule: dict[str, Any]) -> None:
    for counter, window in INCREASE.findall(rule["expr"]):
        assert f"{counter} unless {counter} offset {window}" in rule["expr"]
