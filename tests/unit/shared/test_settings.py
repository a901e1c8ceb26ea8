"""Settings come from the environment; a missing or wrong one stops the process and names itself."""

import pytest
from pydantic import ValidationError

from shared.errors import StartupError
from shared.settings import KafkaSettings, MongoSettings, ProcessSettings, S3Settings, read_settings


def test_settings_are_read_from_their_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "one:9092,two:9092")
    monkeypatch.setenv("KAFKA_PARTITIONS", "3")
    settings = read_settings(KafkaSettings)
    assert (settings.bootstrap, settings.partitions) == ("one:9092,two:9092", 3)
    assert settings.batch_records == KafkaSettings.model_fields["batch_records"].default


def test_every_missing_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDPOINT", "BUCKET", "ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.delenv(f"S3_{name}", raising=False)
    with pytest.raises(StartupError) as failure:
        read_settings(S3Settings)
    for name in ("S3_ENDPOINT", "S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY"):
        assert f"{name}: Field required" in str(failure.value)


def test_a_wrong_setting_is_named_but_its_value_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "one:9092")
    monkeypatch.setenv("KAFKA_BATCH_RECORDS", "hunter2")
    with pytest.raises(StartupError) as failure:
        read_settings(KafkaSettings)
    assert "KAFKA_BATCH_RECORDS: " in str(failure.value)
    assert "hunter2" not in str(failure.value)


def test_settings_of_every_process_have_no_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PORT", "8080")
    monkeypatch.setenv("TRACE_RATIO", "2")
    with pytest.raises(StartupError, match=r"TRACE_RATIO: .*less than or equal to 1"):
        read_settings(ProcessSettings)
    monkeypatch.setenv("TRACE_RATIO", "1")
    assert read_settings(ProcessSettings).http_port == 8080


def test_a_database_url_with_its_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGO_URL", "mongodb://user:hunter2@db.example")
    settings = read_settings(MongoSettings)
    assert "hunter2" not in repr(settings)
    assert settings.url.get_secret_value().endswith("hunter2@db.example")


def test_settings_do_not_change_once_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "one:9092")
    settings = read_settings(KafkaSettings)
    with pytest.raises(ValidationError, match="frozen"):
        settings.bootstrap = "two:9092"  # type: ignore[misc]
