"""Error for a program that is not installed."""


class MissingServer(Exception):
    """A server's program is not installed."""

    def __init__(self, program: str, remedy: str = "pip install 'imagegen[local]'") -> None:
        super().__init__(f"{program} is not installed. Try: {remedy}")
