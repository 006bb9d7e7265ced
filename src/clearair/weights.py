"""Published weight files: opened without running code, and checked for the expected names and shapes.

PyTorch's `.pt` and `.pth` files are pickles, and a pickle can hold code. Here they may hold tensors, plain
values and, where a caller says so, a few harmless types; anything else is refused before it is created.
"""

from __future__ import annotations

import errno
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from clearair.errors import ClearAirError, ModelError

if TYPE_CHECKING:
    from torch import Tensor

WEIGHT_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")

_SCALAR = np.float64(0).__reduce__()[0]
NUMPY_NUMBERS: tuple[Any, ...] = (
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
)
"""What a training script of NumPy 1 or 2 leaves in a checkpoint that stores a float64, such as a loss."""


def find_weights(path: Path | str) -> Path:
    """The weight file at `path`: itself, or the only one in a folder. Raises ModelError."""
    path = Path(path).expanduser()
    if not path.is_dir():
        if not path.exists():
            raise ModelError(f"{path}: there is no such file or folder.")
        return path
    found = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in WEIGHT_SUFFIXES)
    if len(found) != 1:
        names = f": {listed([entry.name for entry in found])}" if found else ""
        raise ModelError(
            f"{path}: one weight file ({', '.join(WEIGHT_SUFFIXES)}) is expected, but there are "
            f"{len(found)}{names}."
        )
    return found[0]


def read_weight_file(
    path: Path, *, allowed: Sequence[Any] = (), trust_pickle: bool = False, hint: str = ""
) -> Any:
    """The content of a file: a dict of tensors for safetensors, else the pickled object, on the CPU.

    `allowed` are types that a pickle may name besides tensors and plain values. One that names others is
    refused; with `trust_pickle` it is opened nevertheless, and may run anything. Raises ModelError of one
    line, that of a refusal followed by `hint`.
    """
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(path)
        allowing = torch.serialization.safe_globals(list(allowed)) if allowed else nullcontext()
        with allowing, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of newer pickles; if one cannot be read, that is an error
            return torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise ModelError(f"{path}: not a whole safetensors file ({error}).") from error
    except Exception as error:  # bytes that are no pickle, or the half of one, can raise anything
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # what the half of a zip raises
            raise ModelError(f"{path}: cannot be read: {error.strerror or error}.") from error
        if "TorchScript" in str(error):
            raise ModelError(
                f"{path}: a TorchScript file is a program, so it is not opened; save its state_dict instead."
            ) from None
        named = _refused(str(error))
        if named is None:
            raise ModelError(
                f"{path}: cannot be opened safely as PyTorch weights: it is damaged, or another kind of file."
            ) from error
        if not trust_pickle:
            raise ModelError(
                f"{path}: refused, since it holds more than weights: it names {named}, which may run code."
                + (f" {hint}" if hint else "")
            ) from None
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # whatever its code does
        raise ModelError(f"{path}: its code does not run here: {type(error).__name__}: {error}.") from error


def tensors_by_name(read: Any, path: Path, model: str, *, inside: Sequence[str] = ()) -> dict[str, Tensor]:
    """The tensors of what `read_weight_file` gave, or of the first of the entries `inside` that it has.

    Raises ModelError, which names the model, when there is something else.
    """
    from torch import Tensor

    for name in inside:
        if isinstance(read, Mapping) and isinstance(read.get(name), Mapping):
            read = read[name]
    if not isinstance(read, Mapping) or not all(isinstance(value, Tensor) for value in read.values()):
        raise ModelError(f"{path}: holds no tensors by name, so it is not {model}'s.")
    return {str(name): value for name, value in read.items()}


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file as NumPy arrays, in the types they are stored in.

    Raises ModelError when the file is missing, cannot be read or is damaged.
    """
    from safetensors.numpy import load

    try:
        return load(path.read_bytes())
    except FileNotFoundError as error:
        raise ModelError(f"{path}: is missing.") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"{path}: not a whole safetensors file ({error}); copy it again.") from error


def in_float32(weights: Mapping[str, NDArray[Any]], path: Path) -> dict[str, NDArray[np.float32]]:
    """Arrays read from `path` as they are computed with. Raises ModelError for values that are not finite."""
    values = {name: value.astype(np.float32) for name, value in weights.items()}
    if broken := [name for name, value in values.items() if not _is_finite(value)]:
        raise ModelError(f"{path}: {_counted(broken)} not finite: {listed(broken)}; copy it again.")
    return values


@contextmanager
def building(path: Path, model: str) -> Iterator[None]:
    """For the work from a file's sizes to the network: they may be of any type and size, and fail anywhere.

    Raises ModelError of one line for what is not an error of clearair's own.
    """
    try:
        yield
    except (ClearAirError, ImportError, MemoryError):
        raise
    except Exception as error:
        line = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"{path}: its sizes do not make {model}: {line.removesuffix('.')}.") from error


def check_fit(weights: Mapping[str, Any], expected: Mapping[str, Any], path: Path, model: str) -> None:
    """Check names, shapes and values of arrays or tensors against those of a model.

    Raises ModelError that lists what does not fit.
    """
    found, wanted = ({name: tuple(t.shape) for name, t in ts.items()} for ts in (weights, expected))
    there = [name for name in expected if name in weights]
    odd = [name for name in there if not _is_readable(weights[name], expected[name])]
    not_finite = [name for name in there if name not in odd and not _is_finite(weights[name])]
    check_shapes(found, wanted, path, model, {"not floating point": odd, "not finite": not_finite})


def check_shapes(
    found: Mapping[str, tuple[int, ...]],
    expected: Mapping[str, tuple[int, ...]],
    path: Path,
    model: str,
    others: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Check names and shapes of tensors against those of a model; `others` are names by another problem.

    Raises ModelError that lists what does not fit.
    """
    problems = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "of another shape": [
            f"{name} is {found[name]} instead of {expected[name]}"
            for name in expected
            if name in found and found[name] != expected[name]
        ],
        **(others or {}),
    }
    told = [f"{_counted(names)} {what}: {listed(names)}" for what, names in problems.items() if names]
    if told:
        raise ModelError(f"{path}: does not fit {model}: {'; '.join(told)}.")


def merged(config: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A model's config with the values of `over` in their place, at every depth."""
    both = {**config, **over}
    for name, value in over.items():
        below = config.get(name)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            both[name] = merged(below, value)
    return both


def _is_readable(values: Any, expected: Any) -> bool:
    """Whether a tensor can stand for the expected one: plain floating point where that is."""
    if isinstance(values, np.ndarray) or not expected.is_floating_point():
        return True
    import torch

    kinds = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    return values.dtype in kinds and values.layout is torch.strided and not values.is_meta


def _is_finite(values: Any) -> bool:
    return bool(np.isfinite(values).all() if isinstance(values, np.ndarray) else values.isfinite().all())


def _refused(message: str) -> str | None:
    """The global that PyTorch's restricted unpickler refused, from its message."""
    found = re.search(r"GLOBAL (\S+) was not an allowed global", message)
    if found is None:
        found = re.search(r"Trying to (?:load|call|instantiate)[^\n]*?([\w]+\.[\w.]+)", message)
    return found[1] if found else None


def _counted(names: Sequence[str]) -> str:
    return f"{len(names)} tensor{'' if len(names) == 1 else 's'}"


def listed(names: Sequence[str], most: int = 10) -> str:
    """The first names, and how many more there are."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
