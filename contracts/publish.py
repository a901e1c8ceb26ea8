"""Publication of the contracts: JSON Schemas and an AsyncAPI document from the models."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic.json_schema import GenerateJsonSchema

from contracts.base import Message, Model, topics_of
from contracts.catalog import MESSAGES, TOPICS, Topic
from contracts.chains import Chain
from contracts.characters import CharacterRecord
from contracts.jobs import Job
from contracts.renders import LoraManifest
from contracts.strictness import CallerMessage

PARTIES = {
    "analytics": "analytics",
    "api": "api",
    "characters": "characters",
    "dispatcher": "dispatcher",
    "dispatcher's timers": "dispatcher",
    "every dispatcher instance": "dispatcher",
    "every service": "every-service",
    "gateways": "gateways",
    "notifier": "notifier",
    "operators": "operators",
    "prompt-builder": "prompt-builder",
    "result-store": "result-store",
    "that provider's gateway": "gateways",
    "upstream": "upstream",
    "upstream services": "upstream",
}
"""Names of the services in docstrings, and their names in the AsyncAPI document."""

DOCUMENTS: dict[str, type[Model]] = {
    "jobs.document": Job,
    "characters.document": CharacterRecord,
    "chains.document": Chain,
    "lora.manifest": LoraManifest,
}
"""Stored documents that other services and operators may read."""

CLOUD_EVENT_HEADERS: dict[str, Any] = {
    "type": "object",
    "description": "CloudEvents 1.0, Kafka's binary mode. Without them, the topic determines the type.",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"],
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {
            "type": "string",
            "description": "Equal ids are the same event, published again.",
        },
        "ce_source": {"type": "string", "format": "uri-reference", "examples": ["/imagegen/dispatcher"]},
        "ce_type": {"type": "string", "description": "The topic."},
        "ce_time": {"type": "string", "format": "date-time"},
        "content-type": {"type": "string", "const": "application/json"},
        "traceparent": {"type": "string", "description": "W3C trace context."},
    },
}


DESCRIPTION = (
    "Messages of the image-generation platform. A topic name includes the version of its message's schema."
    " Messages that callers publish may not have unknown fields (additionalProperties: false), unless their"
    " contract_version is higher than the reader's. All other messages may gain fields at any time; ignore"
    " unknown ones. Seeds above 2^53-1 are decimal texts in JSON."
)


class UndocumentedMessage(Exception):
    """The docstring of a message does not name its producers and consumers."""

    def __init__(self, kind: type[Message], wrong: str) -> None:
        super().__init__(
            f"{kind.__module__}.{kind.__name__}: {wrong}. Its docstring must say "
            f"'Produced by …; consumed by ….' with names from contracts.publish.PARTIES."
        )


class _Schema(GenerateJsonSchema):
    """Generates no title for fields, because it would only repeat the field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def name_of(kind: type[Message]) -> str:
    """Return the base name of a message's files: its topic without the provider."""
    return kind.topic.replace(".{provider}", "")


def parties_of(kind: type[Message]) -> tuple[list[str], list[str]]:
    """Return the producers and consumers that the docstring of a message names.

    Raises:
        UndocumentedMessage: if the docstring names none, or an unknown one.
    """
    found = re.search(r"Produced by (.+?)[,;] consumed by (.+?)\.(?: |$)", _sentences(kind))
    if found is None:
        raise UndocumentedMessage(kind, "producer or consumer is not named")
    producers, consumers = (re.sub(r" \(.*?\)", "", names).split(", ") for names in found.groups())
    unknown = [name for name in producers + consumers if name not in PARTIES]
    if unknown:
        raise UndocumentedMessage(kind, f"unknown: {', '.join(unknown)}")
    return [PARTIES[name] for name in producers], [PARTIES[name] for name in consumers]


def documents() -> dict[str, str]:
    """Return all generated files: path below `contracts/` and content."""
    schemas = {name_of(kind): kind for kind in MESSAGES} | DOCUMENTS
    texts = {f"schemas/{name}.json": _json(schema(kind, name)) for name, kind in schemas.items()}
    texts["asyncapi.yaml"] = "# Written by `python -m contracts`.\n" + _yaml(asyncapi())
    return texts


def schema(kind: type[Model], name: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a model."""
    made = kind.model_json_schema(schema_generator=_Schema)
    if not issubclass(kind, CallerMessage):
        for part in (made, *made.get("$defs", {}).values()):
            part.pop("additionalProperties", None)  # readers of messages between services are tolerant
    for union in list(_unions(made)):
        discriminator = union.pop("discriminator")
        for target in discriminator["mapping"].values():
            branch = made["$defs"][target.rpartition("/")[2]]
            branch["required"] = sorted({discriminator["propertyName"], *branch.get("required", ())})
    return {"$schema": GenerateJsonSchema.schema_dialect, "$id": f"urn:imagegen:{name}"} | made


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document: all topics, messages, producers and consumers."""
    kinds = {topic: kind for kind in MESSAGES for topic in topics_of(kind)}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Image generation",
            "version": "1.0.0",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic, kinds[topic.name]) for topic in TOPICS},
        "operations": {
            f"{party}.{action}.{topic.name}": _operation(party, action, topic, kinds[topic.name])
            for topic in TOPICS
            for action, parties in zip(("send", "receive"), parties_of(kinds[topic.name]), strict=True)
            for party in parties
        },
        "components": {
            "messages": {kind.__name__: _message(kind) for kind in MESSAGES},
            "schemas": {"CloudEventHeaders": CLOUD_EVENT_HEADERS},
        },
    }


def _channel(topic: Topic, kind: type[Message]) -> dict[str, Any]:
    limits = {"retention.ms": topic.retention_seconds * 1000}
    kafka = {"partitions": topic.partitions, "topicConfiguration": limits, "bindingVersion": "0.5.0"}
    return {
        "address": topic.name,
        "description": _sentences(kind),
        "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"}},
        "bindings": {"kafka": kafka},
    }


def _operation(party: str, action: str, topic: Topic, kind: type[Message]) -> dict[str, Any]:
    channel = f"#/channels/{topic.name}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{kind.__name__}"}],
        "tags": [{"name": party}],
    }


def _message(kind: type[Message]) -> dict[str, Any]:
    file = f"./schemas/{name_of(kind)}.json"
    return {
        "name": kind.__name__,
        "summary": _sentences(kind).partition(". ")[0] + ".",
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/CloudEventHeaders"},
        "payload": {"$ref": file},
        "bindings": {"kafka": {"key": {"$ref": f"{file}#/properties/{kind.key}"}, "bindingVersion": "0.5.0"}},
    }


def _sentences(kind: type[Message]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _unions(node: Any) -> Iterator[dict[str, Any]]:
    """Yield the tagged unions. JSON Schema has no `discriminator`; it becomes a required property."""
    if isinstance(node, dict) and "mapping" in node.get("discriminator", ()):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _unions(child)


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
