"""The program that serves MongoDB's protocol in a local stack."""

import sys
from pathlib import Path

import pytest

from deploy.local.ports import Ports
from deploy.local.servers import Site, mongo


def test_the_server_is_the_one_from_pypi_unless_the_environment_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(Ports({}), tmp_path, tmp_path, {})
    monkeypatch.delenv("MONGO_SERVER", raising=False)
    assert mongo(site).arguments[:3] == (sys.executable, "-m", "secantus")
    monkeypatch.setenv("MONGO_SERVER", "/opt/another")
    assert mongo(site).arguments[:2] == ("/opt/another", "--host")
