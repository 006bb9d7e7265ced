"""Options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from clearair.errors import DataError, UsageError
from clearair.kinds import listed
from clearair.optional import require_pytorch

if TYPE_CHECKING:
    from clearair.perception.protocol import BatchPerceiver, Perceiver

Command = TypeVar("Command", bound=Callable[..., Any])

MAX_PIXELS = 300_000_000
"""The library's own limit, repeated here so that --help does not load the image readers."""


def given_options(ctx: click.Context) -> dict[str, str]:
    """The options and arguments that the command line has, as users write them, by parameter name."""
    return {
        str(parameter.name): max(parameter.opts, key=len)
        for parameter in ctx.command.params
        if ctx.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    }


class FiniteRange(click.FloatRange):
    """A range of numbers that leaves out nan, which click's own lets through, and infinity."""

    name = "float range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click does."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value}: nan and inf are not accepted.", param, ctx)
        return number


class LocalPath(click.Path):
    """A file or a folder of this machine. Raises UsageError for an address and for an empty name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click does."""
        from clearair.stores import resembles_address

        if isinstance(value, str) and ("://" in value or resembles_address(value)):
            raise UsageError(f"{value}: an address; this must be a path on this machine.")
        if value == "":
            raise UsageError("A name is empty, as a shell's variable may be; `.` is this folder.")
        return super().convert(value, param, ctx)


def model_option(command: Command) -> Command:
    """--model."""
    return click.option(
        "--model",
        default="compact",
        show_default=True,
        metavar="NAME|FOLDER|FILE",
        help="Which model to use; FILE is a checkpoint of another project.",
    )(command)


def cautious_option(command: Command) -> Command:
    """--cautious."""
    return click.option(
        "--cautious",
        is_flag=True,
        help="Change photos only as far as damage is found; some models do so anyway.",
    )(command)


def device_option(command: Command) -> Command:
    """--device."""
    return click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda", "mps"]),
        default="auto",
        show_default=True,
        help="Where to compute; auto takes a GPU if there is one.",
    )(command)


def training_device_option(command: Command) -> Command:
    """--device, with an index where there are several of a kind: cuda:1."""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        metavar="auto|cpu|cuda[:N]|mps",
        help="Where to compute; auto takes a GPU when there is one.",
    )(command)


def precision_option(command: Command) -> Command:
    """--precision."""
    return click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
        default="auto",
        show_default=True,
        help="Numbers to compute with.",
    )(command)


def backend_option(command: Command) -> Command:
    """--backend."""
    return click.option(
        "--backend",
        type=click.Choice(["auto", "onnx", "torch"]),
        default="auto",
        show_default=True,
        help="Compute with ONNX Runtime or PyTorch; auto takes the faster one.",
    )(command)


def resource_options(command: Command) -> Command:
    """--memory-budget and --jobs."""
    budget = click.option(
        "--memory-budget",
        metavar="SIZE",
        callback=_check_size,
        help="Memory to keep to, such as 700MB, 1.5GB or 1GiB.  [default: what is free]",
    )
    jobs = click.option(
        "--jobs",
        "-j",
        type=click.IntRange(min=1),
        metavar="N",
        help="Photos restored at once, as far as memory allows.  [default: one a core; 1 on PyTorch]",
    )
    return budget(jobs(command))


def _check_size(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse an invalid size before anything is loaded. Raises UsageError."""
    if value is not None:
        from clearair.budget import parse_size

        parse_size(value)
    return value


def cluster_option(command: Command) -> Command:
    """--cluster."""
    return click.option(
        "--cluster",
        metavar="auto|ADDRESS",
        help="Restore on a Ray cluster that sees the same folders; auto takes the one this machine is in.",
    )(command)


def has_own_perceivers() -> bool:
    """Whether the options of the running command name perceivers other than those that ship."""
    return bool(click.get_current_context().meta.get(_PERCEIVERS))


def damage_option(command: Command) -> Command:
    """--damage."""
    return click.option(
        "--damage",
        multiple=True,
        metavar="KIND,...",
        help=f"Say what is wrong: {listed()}; none leaves photos as they are.  [default: auto]",
    )(command)


def require_data(folder: Path) -> None:
    """Raise DataError for a missing data folder, before anything is loaded for it."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such data folder.")


def max_pixels_option(command: Command) -> Command:
    """--max-pixels."""
    return click.option(
        "--max-pixels",
        type=click.IntRange(min=1),
        default=MAX_PIXELS,
        show_default=True,
        metavar="N",
        help="Refuse larger images before decoding them.",
    )(command)


def salvage_option(command: Command) -> Command:
    """--salvage."""
    return click.option(
        "--salvage", is_flag=True, help="Use the readable part of damaged files, do not refuse them."
    )(command)


_LOSSY = {"jpeg": "their own, at least 90; else 95", "webp": "98", "avif": "90"}
"""The lossy formats, and the library's default quality of each."""


def quality_options(command: Command) -> Command:
    """--jpeg-quality, --webp-quality and --avif-quality."""
    for kind, default in reversed(_LOSSY.items()):
        option = click.option(
            f"--{kind}-quality",
            type=click.IntRange(1, 100),
            metavar="N",
            help=f"Quality of {kind.upper()} files that are written, 1 to 100.  [default: {default}]",
        )
        command = option(command)
    return command


DEQA_PRECISIONS = ("fp32", "bf16", "fp16", "int8", "nf4")
"""Precisions that DeQA-Score can be loaded in, repeated here so that --help does not load PyTorch."""

_PERCEIVERS = "clearair.perceivers"
_QUESTIONS = {
    "quality": "Perceiver of quality: compact, or deqa=FOLDER.",
    "regions": "Perceiver of regions: compact, or sam2=FILE.",
    "degradation": "Perceiver of damage: compact, or daclip=FILE.",
}


def perceiver_options(command: Command) -> Command:
    """--quality, --regions, --degradation and what belongs to them, read by `chosen_perceiver`."""
    cache = click.option(
        "--cache-percepts",
        type=LocalPath(path_type=Path, file_okay=False),
        metavar="FOLDER",
        expose_value=False,
        callback=_remember,
        help="Cache percepts in this folder.",
    )
    command = cache(command)
    precision = click.option(
        "--quality-precision",
        type=click.Choice(DEQA_PRECISIONS),
        expose_value=False,
        callback=_remember,
        help="Precision of deqa's weights; default bf16. int8 and nf4 need bitsandbytes.",
    )
    device = click.option(
        "--quality-device",
        metavar="auto|cpu|cuda[:N]|mps",
        expose_value=False,
        callback=_remember,
        help="Device of deqa; the default, auto, shares it among GPUs and the CPU.",
    )
    command = precision(device(command))
    for question, text in reversed(_QUESTIONS.items()):
        option = click.option(
            f"--{question}", metavar="NAME[=WEIGHTS]", expose_value=False, callback=_remember, help=text
        )
        command = option(command)
    return command


def chosen_perceiver() -> Perceiver | None:
    """Return the perceiver that the options of the running command name, loaded; None when they name none.

    Raises ModelError, UsageError and OutputError.
    """
    said = dict(click.get_current_context().meta.get(_PERCEIVERS, {}))
    if set(said) != {"cache_percepts"}:
        return chosen_batch_perceiver()
    from clearair.perception.cache import CachedPerceiver
    from clearair.runtime.loading import load_perceiver

    return CachedPerceiver(load_perceiver(), said["cache_percepts"])


def chosen_batch_perceiver() -> BatchPerceiver | None:
    """Return the same on PyTorch, which training and validating need. Raises as `chosen_perceiver` does."""
    said = dict(click.get_current_context().meta.get(_PERCEIVERS, {}))
    cache = said.pop("cache_percepts", None)
    if not said and cache is None:
        return None
    require_pytorch("These perceivers")
    from clearair.perception.choice import Choice

    perceiver = Choice(**said).load()
    if cache is None:
        return perceiver
    from clearair.perception.cache import CachedPerceiver

    # Fewer bits give nearly the same answers, so a model may be used with them; a cache keeps them apart.
    return CachedPerceiver(perceiver, cache, variant=said.get("quality_precision", ""))


def name_and_changes(words: Sequence[str], what: str) -> tuple[str, list[str]]:
    """Return the one name among words, and those that are FIELD=VALUE. Raises UsageError."""
    names = [word for word in words if "=" not in word]
    if len(names) != 1:
        raise click.UsageError(f"Name one {what}; got {', '.join(names) or 'none'}. --list shows them.")
    return names[0], [word for word in words if "=" in word]


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value is not None:
        ctx.meta.setdefault(_PERCEIVERS, {})[param.name] = value
