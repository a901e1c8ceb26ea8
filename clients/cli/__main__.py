"""Entry point of the command line. It imports the rest late, so that Ctrl-C during imports ends quietly."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit: 0, 1 after a failure, 2 for wrong usage, 130 after Ctrl-C."""
    try:
        from clients.cli.app import run

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
