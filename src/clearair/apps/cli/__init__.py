"""The command line, one file per command: each parses options, calls the library and reports.

Commands import the library inside their functions, so that `--help` never waits for PyTorch.
"""

from clearair.apps.cli.program import cli, main

__all__ = ["cli", "main"]
