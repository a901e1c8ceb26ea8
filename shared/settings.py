"""Settings of servers and processes. They are read once, in `__main__`."""

from typing import Literal, TypeVar

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.catalog import PARTITIONS
from shared.errors import StartupError

S = TypeVar("S", bound=BaseSettings)


class KafkaSettings(BaseSettings):
    """KAFKA_*: the broker, and how it is used."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_", frozen=True)

    bootstrap: str
    """`host:port`, several separated by commas."""
    batch_records: PositiveInt = 500
    replication: PositiveInt = 1
    """Replication factor of topics that we create."""
    partitions: PositiveInt = PARTITIONS
    """Partitions of each topic that we create; the first process to start decides. It is the largest
    number of processes of one service that share the work."""
    send_seconds: PositiveFloat = 20.0
    """Seconds until an unacknowledged message counts as not sent."""
    startup_seconds: PositiveFloat = 60.0


class MongoSettings(BaseSettings):
    """MONGO_*: the database. The URL should ask for journalled writes (`journal=true`)."""

    model_config = SettingsConfigDict(env_prefix="MONGO_", frozen=True)

    url: SecretStr
    database: str = "imagegen"
    startup_seconds: PositiveFloat = 60.0


class S3Settings(BaseSettings):
    """S3_*: the bucket. Signed links name `public_endpoint`, if it is set."""

    model_config = SettingsConfigDict(env_prefix="S3_", frozen=True)

    endpoint: str
    bucket: str
    access_key: SecretStr
    secret_key: SecretStr
    region: str = "us-east-1"
    public_endpoint: str | None = None
    startup_seconds: PositiveFloat = 60.0


class ProcessSettings(BaseSettings):
    """HTTP_*, LOG_*, TRACE_*: settings of every process. Port 0 takes any free port."""

    model_config = SettingsConfigDict(frozen=True)

    http_host: str = "127.0.0.1"
    http_port: NonNegativeInt = 0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    trace_ratio: float = Field(default=0.05, ge=0.0, le=1.0)
    """Share of new traces that are recorded. A caller's decision is kept."""
    trace_exporter: Literal["none", "console"] = "none"


def read_settings(kind: type[S]) -> S:
    """Read settings from the environment.

    Raises:
        StartupError: names every variable that is missing or invalid.
    """
    try:
        return kind()
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        wrong = "; ".join(
            f"{prefix}{'_'.join(map(str, item['loc']))}".upper() + f": {item['msg']}"
            for item in error.errors(include_input=False)
        )
        raise StartupError(f"environment of {kind.__module__}: {wrong}") from None
