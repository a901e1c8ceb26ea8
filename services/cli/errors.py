"""What ends a command with one line and exit code 1."""

from contracts.http import Problem


class CommandFailed(Exception):
    """The command cannot go on; the text is all that its user sees."""


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
        super().__init__(f"the {what} at {url} does not answer ({reason}); imagegen status tells what runs")


class RequestRefused(CommandFailed):
    """A server answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        errors = "; ".join(f"{error.field}: {error.message}" for error in problem.errors)
        super().__init__(errors or problem.detail)
        self.status = problem.status


class WrongInput(CommandFailed):
    """Options, or a file that they name, that make no request."""


class NotInstalled(CommandFailed):
    """The local stack's packages are an extra, which remote use does not need."""

    def __init__(self, name: str | None) -> None:
        super().__init__(f"the local stack needs {name}: pip install 'imagegen[local]'")
