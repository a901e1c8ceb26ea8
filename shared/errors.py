"""Error classes by reaction: retry, dead-letter with a reason, or stop at start-up."""

from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    KafkaTimeoutError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownProducerId,
)
from botocore.exceptions import BotoCoreError, ClientError
from pymongo.errors import (
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    InvalidOperation,
    PyMongoError,
)


class TransientError(Exception):
    """Temporary failure: the same work may succeed later."""


class Backpressure(TransientError):
    """This process is full. Records stay on the broker until it has room; this is not a failure."""


class PermanentError(Exception):
    """The message cannot be handled, now or later. `reason` is a short code for the dead letter."""

    reason = "handler_failed"


class UnstorableDocument(PermanentError):
    """MongoDB refuses the document for good: it, or a value in it, is too large or too deep."""

    reason = "document_not_storable"


class StartupError(Exception):
    """The process cannot run: an address does not answer, or a setting is missing."""


_ABOUT_THE_DOCUMENT = (DocumentTooLarge, DuplicateKeyError, InvalidOperation)
_CODES_ABOUT_THE_DOCUMENT = frozenset({2, 9, 14, 52, 121, 10334, 17280})
"""MongoDB: bad value, parse error, type mismatch, bad field name, validation, too large, key too large."""

_ABOUT_THE_PRODUCER = (
    InvalidProducerEpoch,
    KafkaTimeoutError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownProducerId,
)
"""Not retriable with the same producer; the publisher makes another one."""

_TRANSIENT = (
    TransientError,
    BotoCoreError,
    ConnectionError,
    TimeoutError,
)


def is_transient(error: BaseException) -> bool:
    """Return True if the same work may succeed later: a server is unreachable, slow or electing a leader."""
    if isinstance(error, KafkaError):
        return bool(error.retriable) or isinstance(error, _ABOUT_THE_PRODUCER) or type(error) is KafkaError
    if isinstance(error, PyMongoError):
        return not is_about_the_document(error)
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return bool(status >= 500 or status == 429)
    return isinstance(error, _TRANSIENT)


def is_about_the_document(error: PyMongoError) -> bool:
    """Return True if MongoDB refuses the document itself, rather than being unable to write now."""
    if isinstance(error, BulkWriteError):
        codes = {problem.get("code") for problem in error.details.get("writeErrors", [])}
        return bool(codes & _CODES_ABOUT_THE_DOCUMENT)
    code = getattr(error, "code", None)
    return isinstance(error, _ABOUT_THE_DOCUMENT) or code in _CODES_ABOUT_THE_DOCUMENT
