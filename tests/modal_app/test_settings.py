"""Settings of the deploying command in the containers."""

import pytest

from deploy.modal.settings import AppSettings


def test_containers_read_the_settings_of_the_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = AppSettings(models=("a", "b"), comfyui=True, nsfw_threshold=0.7, app_name="other")
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    assert AppSettings() == settings
    assert not any("token" in name.lower() for name in settings.as_environment())
