"""Process of the Fal gateway: settings, adapter, runtime."""

from functools import partial

import httpx

from services.gateways.fal.adapter import FalProvider, ref_of
from services.gateways.fal.settings import FalSettings, WebhookSettings
from services.gateways.fal.signatures import Keys
from services.gateways.fal.webhooks import WebhookUrls, webhook_routes
from services.gateways.kit.inputs import Inputs
from services.gateways.runtime.app import serve_gateway
from services.gateways.runtime.recovery.webhook_intake import AddRoutes
from shared.process import main
from shared.settings import KafkaSettings, ProcessSettings, read_settings


async def serve(kafka: KafkaSettings, process: ProcessSettings) -> None:
    """Run one Fal gateway."""
    settings = read_settings(FalSettings)

    urls: WebhookUrls | None = None
    if settings.webhook_base_url:
        urls = WebhookUrls(settings.webhook_base_url, read_settings(WebhookSettings).required())

    def make(http: httpx.AsyncClient, inputs: Inputs) -> FalProvider:
        return FalProvider(http, settings, inputs, urls.of if urls else None)

    def make_routes(http: httpx.AsyncClient) -> AddRoutes | None:
        if urls is None:
            return None
        keys = Keys(http, settings.rest_url)
        return webhook_routes(urls, keys, partial(ref_of, settings), settings.user_id)

    await serve_gateway(make, settings.limits, kafka, process, "fal", make_routes)


if __name__ == "__main__":
    main("gateway-fal", serve)
