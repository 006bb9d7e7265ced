"""Every error a user can cause, and the exit code it stands for.

    ClearAirError               exit 1, unless a subclass says otherwise
    |- UsageError               2   an option or argument that makes no sense
    |  `- MissingExtraError     2   it needs a package that is not installed
    |- ModelError               3   a model or its weights are missing, broken or do not fit
    |- ConfigError              2   a configuration contradicts itself
    |- ImageError               1   a picture cannot be read, or cannot be restored as it is
    |- OutputError              1   a result cannot be written
    |  `- ExistsError           1   the target exists, and replacing it was not requested
    |- OutOfMemoryError         1   a picture needs too much memory, even in the smallest tiles
    |- DataError                1   a data set is missing, misplaced or incomplete
    `- TrainingError            1   a run cannot be started, resumed or went wrong

Anything else that escapes is a bug in clearair and shows its traceback.
"""


class ClearAirError(Exception):
    """Base of every error a user can cause; the command line prints it as one line."""

    exit_code = 1


class UsageError(ClearAirError):
    """A command or call that makes no sense."""

    exit_code = 2


class MissingExtraError(UsageError, ImportError):
    """The request needs a package that is not installed."""


class ConfigError(ClearAirError):
    """A configuration that contradicts itself."""

    exit_code = 2


class ModelError(ClearAirError):
    """A model is unknown, its files are missing or broken, or it does not fit what it is asked for."""

    exit_code = 3


class ImageError(ClearAirError):
    """A picture cannot be read, or cannot be restored as it is."""


class OutputError(ClearAirError):
    """A result cannot be written."""


class ExistsError(OutputError):
    """A result cannot be written because the target exists, and replacing it was not requested."""


class OutOfMemoryError(ClearAirError, MemoryError):
    """A picture needs too much memory, even in the smallest tiles."""


class DataError(ClearAirError):
    """A data set is missing, misplaced or incomplete."""


class TrainingError(ClearAirError):
    """A training run cannot be started or resumed, or went wrong."""


_LONG = 200


def brief(name: str) -> str:
    """A name shortened to fit a line; an overlong one is probably a list of names."""
    return name if len(name) <= _LONG else f"{name[: _LONG - 60]} ... {name[-50:]}"
