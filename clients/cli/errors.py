"""Errors that end a command with one line: exit code 2 for wrong usage, 1 for all others."""

from shared.url_credentials import redacted

STATUS_HINT = "'imagegen status' shows which servers are running"


class CommandFailed(Exception):
    """The command cannot continue. Its text is the whole output on standard error."""

    exit_code = 1


class NoStack(CommandFailed):
    """An address is neither given nor known from a running local stack."""

    def __init__(self, option: str) -> None:
        super().__init__(f"no stack is running: start one with 'make up', or give its address with {option}")


class StackNotReady(CommandFailed):
    """The local stack is starting or stopping and has no addresses."""

    def __init__(self, phase: str) -> None:
        super().__init__(f"the stack is {phase}; try again in a few seconds")


class BrokerUnavailable(CommandFailed):
    """Kafka does not answer."""

    def __init__(self, bootstrap: str, reason: str) -> None:
        super().__init__(f"the Kafka broker at {redacted(bootstrap)} is unavailable: {reason}; {STATUS_HINT}")


class WrongInput(CommandFailed):
    """An option, or a file or folder that it names, is invalid; no request was made."""

    exit_code = 2


class NotWritten(CommandFailed):
    """The images exist but cannot be written to the folder."""

    def __init__(self, job_id: str, error: OSError) -> None:
        where = f"{error.filename}: " if error.filename else ""
        reason = f"{where}{error.strerror or error}"
        super().__init__(f"{reason}; the images are stored: 'imagegen job {job_id}' prints links to them")


class NotInstalled(CommandFailed):
    """A package of the local stack is missing. They are an extra that remote use does not need."""

    def __init__(self, name: str | None) -> None:
        super().__init__(f"the local stack needs {name}: pip install 'imagegen[local]'")
