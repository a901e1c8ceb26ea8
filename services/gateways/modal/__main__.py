"""Process of the Modal gateway: settings, adapter, runtime."""

import httpx

from services.gateways.kit.inputs import Inputs
from services.gateways.modal.adapter import ModalProvider
from services.gateways.modal.settings import ModalSettings
from services.gateways.runtime.app import serve_gateway
from shared.process import main
from shared.settings import KafkaSettings, ProcessSettings, read_settings


async def serve(kafka: KafkaSettings, process: ProcessSettings) -> None:
    """Run one Modal gateway."""
    settings = read_settings(ModalSettings)

    def make(http: httpx.AsyncClient, inputs: Inputs) -> ModalProvider:
        return ModalProvider(http, settings, inputs)

    await serve_gateway(make, settings.limits, kafka, process, "modal")


if __name__ == "__main__":
    main("gateway-modal", serve)
