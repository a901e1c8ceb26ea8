"""Files in memory. Uploads stay; the oldest results are deleted when the space is full."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha256
from typing import Final

DEFAULT_SPACE: Final = 512 * 1024 * 1024


@dataclass(frozen=True)
class File:
    data: bytes
    content_type: str
    modified: datetime

    @property
    def headers(self) -> dict[str, str]:
        return {
            "etag": f'"{sha256(self.data).hexdigest()[:16]}-{len(self.data):x}"',
            "last-modified": format_datetime(self.modified, usegmt=True),
            "accept-ranges": "bytes",
        }


class FileStore:
    def __init__(self, space: int | None = DEFAULT_SPACE) -> None:
        self._space = space
        self._used = 0
        self._files: OrderedDict[str, File] = OrderedDict()

    def put(self, name: str, data: bytes, content_type: str) -> None:
        self.drop(name)
        self._files[name] = File(data, content_type, datetime.now(UTC))
        self._used += len(data)
        while self._space is not None and self._used > self._space and len(self._files) > 1:
            self.drop(next(iter(self._files)))

    def get(self, name: str) -> File | None:
        return self._files.get(name)

    def names(self) -> list[str]:
        return list(self._files)

    def drop(self, name: str) -> None:
        file = self._files.pop(name, None)
        if file is not None:
            self._used -= len(file.data)

    def clear(self) -> None:
        self._files.clear()
        self._used = 0
