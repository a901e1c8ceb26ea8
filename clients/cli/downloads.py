"""Download the images of a job into a folder."""

from pathlib import Path

from clients.cli.errors import NotWritten
from contracts.http import ResultImage, Results
from imagegen_client import Client

SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


def file_name(image: ResultImage) -> str:
    """Return a file name from index and label, such as `0-front-portrait.png`."""
    label = "".join(char if char.isalnum() else "-" for char in image.label.lower()).strip("-")
    return f"{image.index}-{label or 'image'}.{SUFFIXES.get(image.content_type, 'bin')}"


async def download(client: Client, results: Results, folder: Path) -> list[Path]:
    """Write all images of a job into a folder and return their paths in the order of the images.

    Raises:
        NotWritten: when the folder cannot be written to.
    """
    paths = [folder / file_name(image) for image in results.images]
    try:
        folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - this process has no other task to delay
        for image, path in zip(results.images, paths, strict=True):
            path.write_bytes(await client.download(image))
    except OSError as error:
        raise NotWritten(results.job_id, error) from None
    return paths
