"""The command `clearair`, also as `python -m clearair`."""

import sys


def main() -> None:
    """Run the program, and say so in one line where Ctrl-C comes before it is loaded."""
    try:
        from clearair.apps.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("clearair: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
