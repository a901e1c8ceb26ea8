"""Classify errors of the client libraries: may the same work succeed later?"""

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

from shared.errors import TransientError

_DOCUMENT_ERRORS = (DocumentTooLarge, DuplicateKeyError, InvalidOperation)
_DOCUMENT_ERROR_CODES = frozenset({2, 9, 14, 52, 121, 10334, 17280})
"""MongoDB: bad value, parse error, type mismatch, bad field name, validation, too large, key too large."""

_PRODUCER_ERRORS = (
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
        return bool(error.retriable) or isinstance(error, _PRODUCER_ERRORS) or type(error) is KafkaError
    if isinstance(error, PyMongoError):
        return not is_document_error(error)
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return bool(status >= 500 or status == 429)
    return isinstance(error, _TRANSIENT)


def is_document_error(error: PyMongoError) -> bool:
    """Return True if MongoDB refuses the document itself, rather than being unable to write now."""
    if isinstance(error, BulkWriteError):
        codes = {problem.get("code") for problem in error.details.get("writeErrors", [])}
        return bool(codes & _DOCUMENT_ERROR_CODES)
    code = getattr(error, "code", None)
    return isinstance(error, _DOCUMENT_ERRORS) or code in _DOCUMENT_ERROR_CODES
