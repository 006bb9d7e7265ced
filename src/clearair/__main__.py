"""`python -m clearair` is the command `clearair`."""

from clearair.apps.cli import main

if __name__ == "__main__":
    main()
