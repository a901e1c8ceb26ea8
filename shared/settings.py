"""Where the servers are and how a process behaves. Read once, in `__main__`; nowhere else."""

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
    """Of the topics that we create."""
    partitions: PositiveInt = PARTITIONS
    """Of each topic that we create, for which who comes first decides. So many processes of a service
    find work at the most."""
    send_seconds: PositiveFloat = 20.0
    """Until a message that was not acknowledged counts as not sent."""
    startup_seconds: PositiveFloat = 60.0


class MongoSettings(BaseSettings):
    """MONGO_*: the database. The URL should ask for journalled writes (`journal=true`)."""

    model_config = SettingsConfigDict(env_prefix="MONGO_", frozen=True)

    url: SecretStr
    database: str = "imagegen"
    startup_seconds: PositiveFloat = 60.0


class S3Settings(BaseSettings):
    """S3_*: the bucket. `public_endpoint` is what signed links name, where it differs."""

    model_config = SettingsConfigDict(env_prefix="S3_", frozen=True)

    endpoint: str
    bucket: str
    access_key: SecretStr
    secret_key: SecretStr
    region: str = "us-east-1"
    public_endpoint: str | None = None
    startup_seconds: PositiveFloat = 60.0


class ProcessSettings(BaseSettings):
    """HTTP_*, LOG_*, TRACE_*: what every process has. Port 0 takes any free port."""

    model_config = SettingsConfigDict(frozen=True)

    http_host: str = "127.0.0.1"
    http_port: NonNegativeInt = 0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    trace_ratio: float = Field(default=0.05, ge=0.0, le=1.0)
    """Share of new traces that are recorded; a caller's decision is kept."""
    trace_exporter: Literal["none", "console"] = "none"


def read_settings(kind: type[S]) -> S:
    """The settings from the environment.

    Raises:
        StartupError: naming every variable that is missing or wrong.
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
