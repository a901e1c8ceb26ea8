"""Settings FAL_*: the queue, our key, the models, and the address for webhooks."""

from pydantic import PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.web_addresses import split_credentials
from services.gateways.runtime.settings import UncertainOutcomeSettings
from shared.errors import StartupError
from shared.url_credentials import basic_authorization


class FalSettings(UncertainOutcomeSettings):
    """Settings of the adapter. Model ids are settings because Fal's catalogue changes."""

    model_config = SettingsConfigDict(env_prefix="FAL_", frozen=True)

    key: SecretStr
    queue_url: str = "https://queue.fal.run"
    """With `user:password@`, Basic authentication replaces our key, for a proxy that adds the key itself;
    the same in `rest_url`."""
    rest_url: str = "https://rest.fal.ai"
    """Address of the keys of signed webhooks and of tokens for uploads."""
    media_hosts: str = "fal.media,v3.fal.media,v3b.fal.media"
    """Hosts for uploads (`host` or `host:port`, separated by commas)."""
    webhook_base_url: str | None = None
    """Address at which Fal reaches `/webhooks/fal` of any of our processes; without it we only poll."""
    user_id: str | None = None
    """Our own id at Fal: only its webhooks are accepted. None accepts any webhook that Fal signed."""
    text_model: str = "fal-ai/flux/dev"
    lora_model: str = "fal-ai/flux-lora"
    identity_model: str = "fal-ai/flux-pulid"
    """Model for a person from a reference image: character references and face swaps."""
    training_model: str = "fal-ai/flux-lora-fast-training"
    training_base_model: str = "black-forest-labs/FLUX.1-dev"
    """Base model of the trained LoRAs; the answer does not name it."""
    training_steps: PositiveInt = 1000
    """Default for requests without a number of steps."""

    @property
    def queue(self) -> tuple[str, str]:
        """Address of the queue without credentials, and its `Authorization` header."""
        return self._authorized(self.queue_url)

    @property
    def rest(self) -> tuple[str, str]:
        """Address of `rest_url` without credentials, and its `Authorization` header."""
        return self._authorized(self.rest_url)

    def _authorized(self, url: str) -> tuple[str, str]:
        address, credentials = split_credentials(url.rstrip("/"))
        key = f"Key {self.key.get_secret_value()}"
        return address, basic_authorization(credentials) if credentials else key

    @property
    def hosts(self) -> frozenset[str]:
        """The media hosts as a set."""
        return frozenset(host.strip() for host in self.media_hosts.split(","))


class WebhookSettings(BaseSettings):
    """Settings GATEWAY_WEBHOOK_*: the secret that authenticates the URLs given to providers."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_WEBHOOK_", frozen=True)

    secret: SecretStr | None = None

    def required(self) -> bytes:
        """Return the secret.

        Raises:
            StartupError: there is none.
        """
        if self.secret is None or not self.secret.get_secret_value():
            raise StartupError("GATEWAY_WEBHOOK_SECRET: required with FAL_WEBHOOK_BASE_URL")
        return self.secret.get_secret_value().encode()
