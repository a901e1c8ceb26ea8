"""Errors that end a command with one line: exit code 2 for a wrong command line, 1 for all others."""

from contracts.http import Problem
from shared.url_credentials import redacted


class CommandFailed(Exception):
    """The command cannot go on; the text is all that its user sees."""

    exit_code = 1


class NoStack(CommandFailed):
    """An address is not given, and no local stack runs that has one."""

    def __init__(self, option: str) -> None:
        super().__init__(f"no stack is running: make up (or use one elsewhere: imagegen {option} …)")


class StackNotReady(CommandFailed):
    """The local stack has no addresses yet, or no more."""

    def __init__(self, phase: str) -> None:
        super().__init__(f"the stack is {phase}; try again in a moment")


class Unreachable(CommandFailed):
    """A server does not answer."""

    def __init__(self, what: str, url: str, reason: object) -> None:
        super().__init__(
            f"the {what} at {redacted(url)} does not answer ({reason}); imagegen status tells what runs"
        )


class RequestRefused(CommandFailed):
    """A server answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        errors = "; ".join(f"{error.field}: {error.message}" for error in problem.errors)
        super().__init__(errors or problem.detail)
        self.status = problem.status


class WrongInput(CommandFailed):
    """Options, or a file or folder that they name, that cannot be used; nothing was sent."""

    exit_code = 2


class NotWritten(CommandFailed):
    """The images are made and cannot be written where they should be."""

    def __init__(self, job_id: str, error: OSError) -> None:
        where = f"{error.filename}: " if error.filename else ""
        reason = f"{where}{error.strerror or error}"
        super().__init__(f"{reason}; the images are kept, their links are in: imagegen job {job_id}")


class NotInstalled(CommandFailed):
    """The local stack's packages are an extra, which remote use does not need."""

    def __init__(self, name: str | None) -> None:
        super().__init__(f"the local stack needs {name}: pip install 'imagegen[local]'")
