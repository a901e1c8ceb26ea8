"""Reader for YAML data files that refuses duplicate keys."""

from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from yaml import SafeLoader as Loader
else:  # the C loader is ten times faster; some builds of PyYAML lack it
    Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class CatalogueInvalid(ValueError):
    """A data file is invalid. The text names the file and the key."""

    def __init__(self, file: str, key: str, problem: str) -> None:
        self.file = file
        self.key = key
        super().__init__(f"{file}: {key or 'the file'}: {problem}")


class _UniqueKeys(Loader):
    """A YAML loader that refuses duplicate keys instead of keeping the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def read_yaml(file: Traversable) -> object:
    """Read a YAML file.

    Raises:
        CatalogueInvalid: if the file is missing or is not valid YAML.
    """
    try:
        return yaml.load(file.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CatalogueInvalid(file.name, "", str(error)) from error
