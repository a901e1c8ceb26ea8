"""The services and their environment."""

import base64
import os
import secrets
import sys
from collections.abc import Mapping, Sequence

from deploy.local.ports import HOST
from deploy.local.probes import answers
from deploy.local.processes import Command
from deploy.local.servers import BUCKET, ROOT, Site, lora_folder

SERVICES = (
    "prompt_builder",
    "dispatcher",
    "gateways.modal",
    "gateways.comfyui",
    "gateways.fal",
    "result_store",
    "characters",
    "notifier",
    "api",
)
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Certificate authorities of the user, for real providers and webhook receivers behind a private one."""
INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", *CERTIFICATES)
SIMULATOR_GRACE_SECONDS = "20"
"""Grace period for simulators, which lose all jobs when the stack stops."""
SECRETS = (
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
    "MODAL_KEY",
    "MODAL_SECRET",
    "FAL_KEY",
    "NOTIFIER_WEBHOOK_SECRET",
    "GATEWAY_WEBHOOK_SECRET",
)


def basics(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of the shell that every process gets: no proxies, no settings of services."""
    inherited = {name: environment[name] for name in INHERITED if name in environment}
    return {**inherited, "PYTHONUNBUFFERED": "1"}


def load_or_generate_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets of the previous start from this state folder, and random ones for the rest."""
    made = {name: secrets.token_hex(16) for name in SECRETS}
    made["FAL_KEY"] = f"{secrets.token_hex(8)}:{secrets.token_hex(16)}"
    random_bytes = base64.b64encode(secrets.token_bytes(32)).decode()
    made["NOTIFIER_WEBHOOK_SECRET"] = f"whsec_{random_bytes}"
    return {name: environment.get(name, value) for name, value in made.items()}


def stores_environment(stores: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses of the stores and the settings of a service on one machine."""
    found = {
        "S3_BUCKET": BUCKET,
        "S3_REGION": "us-east-1",
        "NOTIFIER_ALLOW_PRIVATE_HOSTS": "true",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
        "HTTP_HOST": HOST,
    }
    if "mongo" in stores:
        found["MONGO_URL"] = f"mongodb://{stores['mongo']}/?journal=true&directConnection=true"
        found["MONGO_DATABASE"] = "imagegen"
    if "s3" in stores:
        found["S3_ENDPOINT"] = stores["s3"]
    return found


def providers_environment(simulators: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses of the running simulators."""
    names = {
        "MODAL_BASE_URL": "modal",
        "COMFYUI_BASE_URL": "comfyui",
        "FAL_QUEUE_URL": "fal",
        "FAL_REST_URL": "fal",
    }
    found = {variable: simulators[name] for variable, name in names.items() if name in simulators}
    if "fal" in simulators:
        found["FAL_MEDIA_HOSTS"] = simulators["fal"].removeprefix("http://")
        found["FAL_GRACE_SECONDS"] = SIMULATOR_GRACE_SECONDS
    if "modal" in simulators:
        found["MODAL_GRACE_SECONDS"] = SIMULATOR_GRACE_SECONDS
    return found


def service(
    name: str, number: int, site: Site, environment: Mapping[str, str], launcher: Sequence[str] = ()
) -> Command:
    """Return the command of one instance, named `api`, `api-2` and so on.

    `launcher` is a module, and its arguments, that runs the service's module in place of Python itself.
    """
    instance = name if number == 1 else f"{name}-{number}"
    port = site.ports.pick(instance)
    address = f"http://{HOST}:{port}"
    own = {"HTTP_PORT": str(port)}
    if name == "gateways.fal" and "fal" in site.simulated:  # the real Fal cannot reach a loopback address
        own["FAL_WEBHOOK_BASE_URL"] = address
    if name == "gateways.comfyui" and "comfyui" in site.simulated:
        own["COMFYUI_LORA_DIR"] = str(lora_folder(site))
    return Command(
        name=instance,
        kind="service",
        arguments=(sys.executable, "-m", *launcher, f"services.{name}"),
        environment={**site.environment, **environment, **own},
        directory=ROOT,
        ports=(port,),
        address=address,
        ready=answers(port, "/health/ready", 200),
    )
