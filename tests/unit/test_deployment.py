"""docker-compose.yml and the Dockerfile name variables of settings classes and the pinned Kafka."""

import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from pydantic_settings import BaseSettings

import services
import shared.settings
from deploy.local.apache_kafka.installation import kafka_version
from shared.settings import ProcessSettings

ROOT = Path(__file__).parents[2]
NOT_OURS = {"SERVICE", "PATH", "PYTHONUNBUFFERED"}
SERVERS = {"kafka", "mongo", "s3"}


@cache
def settings_classes() -> set[type[BaseSettings]]:
    found = pkgutil.walk_packages(services.__path__, "services.")
    names = [info.name for info in found if info.name.endswith(".settings")]
    modules = [shared.settings, *(importlib.import_module(name) for name in names)]
    return {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, BaseSettings) and value is not BaseSettings
    }


def known_variables() -> set[str]:
    return {
        f"{kind.model_config.get('env_prefix') or ''}{field}".upper()
        for kind in settings_classes()
        for field in kind.model_fields
    }


@cache
def compose_services() -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())[
        "services"
    ]
    return {name: service for name, service in found.items() if name not in SERVERS}


@pytest.mark.parametrize("name", compose_services())
def test_every_variable_of_a_compose_service_is_read_by_a_settings_class(name: str) -> None:
    environment = compose_services()[name]["environment"]
    assert isinstance(environment, dict)
    assert set(environment) - known_variables() == set()


@pytest.mark.parametrize("name", compose_services())
def test_every_compose_service_starts_a_module_that_exists(name: str) -> None:
    build = compose_services()[name]["build"]
    assert isinstance(build, dict)
    assert importlib.util.find_spec(f"services.{build['args']['SERVICE']}.__main__")


@pytest.mark.parametrize("name", compose_services())
def test_every_required_variable_of_a_service_is_given_by_compose(name: str) -> None:
    build, environment = compose_services()[name]["build"], compose_services()[name]["environment"]
    assert isinstance(build, dict)
    assert isinstance(environment, dict)
    main = importlib.import_module(f"services.{build['args']['SERVICE']}.__main__")
    for kind in (settings_classes() - {ProcessSettings}) & set(values_of(main)):
        prefix = kind.model_config.get("env_prefix") or ""
        required = {
            f"{prefix}{field}".upper() for field, info in kind.model_fields.items() if info.is_required()
        }
        assert required - set(environment) == set(), kind.__name__


def values_of(module: ModuleType) -> Iterator[type]:
    return (value for value in vars(module).values() if isinstance(value, type))


def test_the_dockerfile_names_only_known_variables() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    lines = re.findall(r"ENV ((?:.*\\\n)*.*)", text)
    names = {name for line in lines for name in re.findall(r"(\w+)=", line)}
    assert names - NOT_OURS - known_variables() == set()


def test_compose_runs_the_version_of_kafka_that_the_local_stack_runs() -> None:
    kafka = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["kafka"]
    assert kafka["image"] == f"apache/kafka:{kafka_version()}"
