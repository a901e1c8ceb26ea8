"""Error classes by reaction: retry, dead-letter with a reason, or stop at start-up."""


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
