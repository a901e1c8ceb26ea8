"""FAL_*: the queue, our key, which model does what, and where Fal may call us."""

from pydantic import PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.web_addresses import split_credentials
from services.gateways.runtime.settings import UncertainOutcomeSettings
from shared.errors import StartupError
from shared.url_credentials import basic_authorization


class FalSettings(UncertainOutcomeSettings):
    """Model ids are settings because Fal's catalogue changes."""

    model_config = SettingsConfigDict(env_prefix="FAL_", frozen=True)

    key: SecretStr
    queue_url: str = "https://queue.fal.run"
    """With `user:password@`, Basic authentication replaces our key, for a proxy that adds the key itself;
    so in `rest_url`."""
    rest_url: str = "https://rest.fal.ai"
    """Publishes the keys that webhooks are signed with, and gives tokens for uploads."""
    media_hosts: str = "fal.media,v3.fal.media,v3b.fal.media"
    """Where uploads may go (`host` or `host:port`, separated by commas)."""
    webhook_base_url: str | None = None
    """Where Fal reaches `/webhooks/fal` of any of our processes; without it we only poll."""
    user_id: str | None = None
    """Whose webhooks are taken: our own id at Fal. None takes any that Fal signed."""
    text_model: str = "fal-ai/flux/dev"
    lora_model: str = "fal-ai/flux-lora"
    identity_model: str = "fal-ai/flux-pulid"
    """Draws a person from a reference image: character references and face swaps."""
    training_model: str = "fal-ai/flux-lora-fast-training"
    training_base_model: str = "black-forest-labs/FLUX.1-dev"
    """What the training model makes LoRAs for; its answer does not say."""
    training_steps: PositiveInt = 1000
    """For requests that do not say."""

    @property
    def queue(self) -> tuple[str, str]:
        """Address of the queue without credentials, and the `Authorization` that it gets."""
        return self._authorized(self.queue_url)

    @property
    def rest(self) -> tuple[str, str]:
        """The same for `rest_url`."""
        return self._authorized(self.rest_url)

    def _authorized(self, url: str) -> tuple[str, str]:
        address, credentials = split_credentials(url.rstrip("/"))
        key = f"Key {self.key.get_secret_value()}"
        return address, basic_authorization(credentials) if credentials else key

    @property
    def hosts(self) -> frozenset[str]:
        """The media hosts, one by one."""
        return frozenset(host.strip() for host in self.media_hosts.split(","))


class WebhookSettings(BaseSettings):
    """GATEWAY_WEBHOOK_*: what the URLs that we give to providers are authenticated with."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_WEBHOOK_", frozen=True)

    secret: SecretStr | None = None

    def required(self) -> bytes:
        """The secret.

        Raises:
            StartupError: there is none.
        """
        if self.secret is None or not self.secret.get_secret_value():
            raise StartupError("GATEWAY_WEBHOOK_SECRET: required with FAL_WEBHOOK_BASE_URL")
        return self.secret.get_secret_value().encode()
