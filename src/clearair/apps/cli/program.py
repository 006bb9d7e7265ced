"""The program `clearair`: its commands, and how errors become one line and an exit code."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from types import FrameType

import click

from clearair.apps.cli.ablate import ablate
from clearair.apps.cli.batch import batch
from clearair.apps.cli.data import data
from clearair.apps.cli.degrade import degrade
from clearair.apps.cli.evaluate import evaluate
from clearair.apps.cli.export import export
from clearair.apps.cli.info import info
from clearair.apps.cli.inspect import inspect
from clearair.apps.cli.lines import forget_output, print_line, say, say_error
from clearair.apps.cli.models import models
from clearair.apps.cli.plot import plot
from clearair.apps.cli.report import report
from clearair.apps.cli.restore import restore
from clearair.apps.cli.serve import serve
from clearair.apps.cli.train import train
from clearair.errors import ClearAirError, MissingExtraError
from clearair.interrupts import Terminated
from clearair.memory import NOT_TO_BEGIN_WITH, is_shortage

INTERRUPTED = 130
"""Exit code after Ctrl-C, 128 + SIGINT."""
TERMINATED = 143
"""Exit code after `kill`, 128 + SIGTERM."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors that can occur when standard output is a file."""


_NO_ARGUMENTS = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""What click 8.2 and later raise for a group without a command; earlier ones print its help."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="clearair")
def cli() -> None:
    """Restore noisy, hazy, rainy, snowy, blurred or dark photos. The damage is detected automatically."""


for command in (
    restore,
    batch,
    inspect,
    serve,
    degrade,
    train,
    ablate,
    plot,
    evaluate,
    report,
    data,
    models,
    export,
    info,
):
    cli.add_command(command)


def main() -> None:
    """Run the program and exit.

    Codes: 0 all done, 1 some files failed, 2 wrong usage, 3 an unfit model, 130 interrupted, 143
    terminated.
    """
    signal.signal(signal.SIGTERM, _terminate)
    _keep_streams_apart()
    _buffer_output()
    sys.exit(_run())


def _keep_streams_apart() -> None:
    """Open closed standard streams on the null device: otherwise the next opened file gets their number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115


def _buffer_output() -> None:
    """Buffer standard output by lines where Python does not: a raw write may be short, and nobody notices."""
    if isinstance(sys.stdout, io.TextIOWrapper) and isinstance(sys.stdout.buffer, io.RawIOBase):
        whole = io.BufferedWriter(sys.stdout.buffer)
        encoding, errors = sys.stdout.encoding, sys.stdout.errors
        sys.stdout = io.TextIOWrapper(whole, encoding, errors, line_buffering=True)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second signal must not interrupt the cleanup
    raise Terminated


def _explain(error: click.ClickException) -> None:
    """Print what is wrong with the command in one line, or its help where it has no arguments at all."""
    context = getattr(error, "ctx", None)
    if isinstance(error, _NO_ARGUMENTS):
        error.show()
        return
    message = error.format_message().replace("\n", " ").rstrip(".")
    if context is None:
        print_line(f"clearair: {message}.", err=True)
        return
    print_line(f"{context.command_path}: {message}. See `{context.command_path} --help`.", err=True)


def _run() -> int:
    try:
        code = cli.main(prog_name="clearair", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        return int(code or 0)
    except ClearAirError as error:
        say_error(error)
        return error.exit_code
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        say("clearair: this needs PyTorch: pip install 'clearair[torch]'", err=True)
        return MissingExtraError.exit_code
    except click.Abort as abort:
        cause = abort.__cause__  # a training run that SIGTERM ended says so
        terminated = isinstance(cause, Terminated) or getattr(cause, "terminated", False)
        say("clearair: terminated" if terminated else "clearair: interrupted", err=True)
        return TERMINATED if terminated else INTERRUPTED
    except click.ClickException as error:
        _explain(error)
        return error.exit_code
    except BrokenPipeError:
        forget_output()  # the reader is gone, and click would exit with 1 when it notices
        return 1
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
            say(f"clearair: standard output: cannot be written: {os.strerror(error.errno)}.", err=True)
            forget_output()
            return 1
        if not is_shortage(error):
            raise
        say(f"clearair: {NOT_TO_BEGIN_WITH}", err=True)
        return 1
