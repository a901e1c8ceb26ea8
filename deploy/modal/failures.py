"""An exception → the error of a failed call: its name, its reason, and whether to try again."""

from typing import Final

from contracts.modal_app import TOO_LATE, ModalError, ModalResult

LONGEST: Final = 1000
RETRYABLE: Final = frozenset({"OutOfMemoryError", "FunctionTimeoutError", "InternalFailure", "RemoteError"})
POISON: Final = ("CUDA error", "device-side assert", "cuDNN error", "uncorrectable ECC")


class CallFailed(Exception):
    """A failure of which we know whether trying again may help."""

    retryable = False


def failed(error: BaseException) -> ModalResult:
    """The envelope that a caller reads instead of a traceback."""
    message = str(error).strip() or "no message"
    reason = ModalError(
        type=type(error).__name__, message=message[:LONGEST], retryable=is_retryable(error, message)
    )
    return ModalResult(status="failed", error=reason)


def too_late() -> ModalResult:
    """What becomes of a call that nobody waits for any more when its turn comes."""
    error = ModalError(type=TOO_LATE, message="its deadline passed before it could begin")
    return ModalResult(status="failed", error=error)


def is_retryable(error: BaseException, message: str) -> bool:
    if isinstance(error, CallFailed):
        return error.retryable
    names = {kind.__name__ for kind in type(error).__mro__}
    # An error whose class is unknown here arrives as a text with the name of that class.
    return bool(names & RETRYABLE) or "OutOfMemoryError" in message or is_poison(error)


def is_poison(error: BaseException) -> bool:
    """After such an error every later call in the same process fails as well."""
    return any(word in str(error) for word in POISON)
