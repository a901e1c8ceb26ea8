"""Settings → adapter → the runtime that all gateways share."""

import httpx

from services.gateways.fal.adapter import FalProvider
from services.gateways.fal.settings import FalSettings
from services.gateways.runtime.app import serve_gateway
from services.gateways.runtime.inputs import Inputs
from services.gateways.runtime.provider import Pace
from shared.service import main
from shared.settings import KafkaSettings, ProcessSettings, read_settings


async def serve(kafka: KafkaSettings, process: ProcessSettings) -> None:
    """Run one Fal gateway."""
    settings = read_settings(FalSettings)
    pace = Pace(
        slots=settings.slots,
        submit_timeout=settings.submit_timeout_seconds,
        grace=settings.grace_seconds,
        resubmit_unknown=settings.resubmit_unknown,
    )

    def make(http: httpx.AsyncClient, inputs: Inputs) -> FalProvider:
        return FalProvider(http, settings, inputs)

    await serve_gateway(make, pace, kafka, process, "fal")


if __name__ == "__main__":
    main("gateway-fal", serve)
