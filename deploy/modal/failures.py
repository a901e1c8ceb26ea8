"""Convert an exception into the error of a failed call: type, message, and whether a retry may help."""

from typing import Final

from contracts.modal_app import TOO_LATE, ModalError, ModalResult

LONGEST: Final = 1000
RETRYABLE: Final = frozenset({"OutOfMemoryError", "FunctionTimeoutError", "InternalFailure", "RemoteError"})
FATAL: Final = ("CUDA error", "device-side assert", "cuDNN error", "uncorrectable ECC")


class CallFailed(Exception):
    """A failure with a known answer to whether a retry may help."""

    retryable = False


def failed(error: BaseException) -> ModalResult:
    """Return the failed result for an exception, without its traceback."""
    message = str(error).strip() or "no message"
    reason = ModalError(
        type=type(error).__name__, message=message[:LONGEST], retryable=is_retryable(error, message)
    )
    return ModalResult(status="failed", error=reason)


def deadline_passed() -> ModalResult:
    """Return the result of a call whose deadline passed before it could begin."""
    error = ModalError(type=TOO_LATE, message="its deadline passed before it could begin")
    return ModalResult(status="failed", error=error)


def is_retryable(error: BaseException, message: str) -> bool:
    if isinstance(error, CallFailed):
        return error.retryable
    names = {kind.__name__ for kind in type(error).__mro__}
    # An error whose class is unknown here arrives as text that contains the name of that class.
    return bool(names & RETRYABLE) or "OutOfMemoryError" in message or is_fatal(error)


def is_fatal(error: BaseException) -> bool:
    """Return True for an error after which every later call in the same process fails as well."""
    return any(word in str(error) for word in FATAL)
