"""Transient errors of servers, and permanent errors of documents."""

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotEnoughReplicasError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
)
from botocore.exceptions import ClientError, EndpointConnectionError
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteError,
    WTimeoutError,
)

from shared.errors import TransientError
from shared.transient import is_transient


def bucket(status: int) -> ClientError:
    return ClientError({"ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


def bulk(*codes: int, concern: bool = False) -> BulkWriteError:
    errors = [{"index": place, "code": code} for place, code in enumerate(codes)]
    return BulkWriteError({"writeErrors": errors, "writeConcernErrors": [{"code": 64}] if concern else []})


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("gone"),
        NotPrimaryError("electing"),
        NetworkTimeout("slow"),
        ServerSelectionTimeoutError("nobody"),
        WaitQueueTimeoutError("the pool is empty"),
        ExecutionTimeout("slow", 50),
        WTimeoutError("not replicated", 64),
        OperationFailure("not authorized", 13),
        OperationFailure("out of disk", 14031),
        bulk(concern=True),
        bulk(189),
        bucket(500),
        bucket(503),
        bucket(429),
        EndpointConnectionError(endpoint_url="http://x"),
        TransientError("busy"),
        TimeoutError(),
        ConnectionResetError(),
        KafkaConnectionError("refused"),
        NotEnoughReplicasError(),
        KafkaTimeoutError(),
        OutOfOrderSequenceNumber(),
        ProducerClosed(),
        KafkaError("Unexpected error during batch delivery"),
    ],
    ids=repr,
)
def test_an_error_of_a_server_that_is_away_is_transient(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        DocumentTooLarge("17 MB"),
        DuplicateKeyError("again", 11000),
        InvalidOperation("no"),
        *(WriteError("refused", code) for code in (2, 9, 14, 52, 121, 10334, 17280)),
        bulk(121),
        bulk(11000, 10334),
        bucket(400),
        bucket(403),
        bucket(404),
        MessageSizeTooLargeError(),
        KeyError("a bug"),
    ],
    ids=repr,
)
def test_an_error_about_the_document_is_not_transient(error: Exception) -> None:
    assert not is_transient(error)
