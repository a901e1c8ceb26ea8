"""Process of the ComfyUI gateway: settings, adapter, runtime."""

import httpx

from services.gateways.comfyui.adapter import ComfyUIProvider
from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.kit.inputs import Inputs
from services.gateways.runtime.app import serve_gateway
from shared.process import main
from shared.settings import KafkaSettings, ProcessSettings, read_settings


async def serve(kafka: KafkaSettings, process: ProcessSettings) -> None:
    """Run one ComfyUI gateway."""
    settings = read_settings(ComfyUISettings)

    def make(http: httpx.AsyncClient, inputs: Inputs) -> ComfyUIProvider:
        return ComfyUIProvider(http, settings, inputs)

    await serve_gateway(make, settings.limits, kafka, process, "comfyui")


if __name__ == "__main__":
    main("gateway-comfyui", serve)
