"""Three fates of a failure: try again, set aside with a reason, or stop at start-up."""

from aiokafka.errors import KafkaError
from botocore.exceptions import BotoCoreError, ClientError
from pymongo.errors import ConnectionFailure, ExecutionTimeout


class TransientError(Exception):
    """Nothing is wrong with the message: the same work may succeed in a while."""


class PermanentError(Exception):
    """The message cannot be handled, now or later. `reason` is a short code for the dead letter."""

    reason = "handler_failed"


class StartupError(Exception):
    """The process cannot run: an address does not answer, or a setting is missing."""


_TRANSIENT = (
    TransientError,
    ConnectionFailure,
    ExecutionTimeout,
    BotoCoreError,
    ConnectionError,
    TimeoutError,
)


def is_transient(error: BaseException) -> bool:
    """Whether the same work may succeed later: a server is away, slow or re-electing."""
    if isinstance(error, KafkaError):
        return bool(error.retriable)
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return bool(status >= 500 or status == 429)
    return isinstance(error, _TRANSIENT)
