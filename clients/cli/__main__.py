"""The command line's entry: everything else is imported where Ctrl-C already ends it quietly."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Every failure is one line. Exit code 1; 2 for a wrong command line, 130 after Ctrl-C."""
    try:
        from clients.cli.app import run

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
