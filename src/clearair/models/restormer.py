"""A backbone from Restormer's public weights (Zamir et al., CVPR 2022), with a report of what was taken.

Their names differ from ours in a few prefixes only. Guidance starts neutral, so a network with all of their
blocks computes what Restormer does; one with fewer takes the first blocks of each level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clearair.errors import ConfigError, ModelError
from clearair.network import BASE, ClearAIR, NetworkConfig
from clearair.weights import building, check_fit, read_weight_file, tensors_by_name

LEVELS = 4
PAPER_BLOCKS = (3, 5, 6, 8)
"""Of the paper's backbone; Restormer's own are 4, 6, 6 and 8."""


@dataclass(frozen=True)
class Group:
    """The blocks of a level of the file, and how many of them the network has."""

    name: str
    """As in the file: `encoder_level1`, `latent`, ..."""
    there: int
    taken: int


@dataclass(frozen=True, eq=False)
class Import:
    """A network that begins with Restormer's weights."""

    network: ClearAIR
    """float32, in evaluation mode."""
    groups: tuple[Group, ...]
    taken: tuple[str, ...]
    """Tensors of the file, by its names, that the network has now."""
    left: tuple[str, ...]
    """Tensors of the file that it has no place for."""
    new: tuple[str, ...]
    """Tensors of the network, by our names, that the file lacks, including all of the guidance."""

    def report(self) -> str:
        """What was and was not taken, a line per level."""
        ours = self.network.state_dict()
        kind = "WithBias" if self.network.config.norm_bias else "BiasFree"
        lines = [f"Restormer, LayerNorm {kind}, {len(self.taken) + len(self.left)} tensors"]
        for group in self.groups:
            taken = "all" if group.taken == group.there else f"the first {group.taken}"
            lines.append(f"  {group.name:<16} {taken} of {group.there} blocks")
        outside = [name for name in self.taken if name.split(".")[0] not in {g.name for g in self.groups}]
        lines.append(f"  {'between':<16} {', '.join(name.removesuffix('.weight') for name in outside)}")
        parts = sorted({name.split(".")[0] for name in self.new})
        count = sum(ours[name].numel() for name in self.new)
        lines += [
            f"taken      {len(self.taken)} tensors",
            f"not taken  {len(self.left)} tensors: the other blocks" if self.left else "not taken  nothing",
            f"new        {len(self.new)} tensors, {count / 1e6:.1f} M values: {', '.join(parts)}",
        ]
        return "\n".join(lines)


def import_restormer(
    path: Path | str,
    *,
    blocks: Sequence[int] | None = PAPER_BLOCKS,
    trust_pickle: bool = False,
) -> Import:
    """Begin a network with the weights of a file that its authors published.

    `blocks` of each level, finest first, serve for encoder and decoder; None takes all of them, and the
    network is Restormer itself. `BASE` defines everything that the file lacks: guidance and its sizes. The
    file is a pickle: it is opened without running code, unless it needs that and `trust_pickle` allows it.
    Raises ModelError when it is not Restormer's, and lists the tensors that do not fit.
    """
    path = Path(path).expanduser()
    state = _state(path, trust_pickle)
    with building(path, "a Restormer"):
        whole = _config(state, path)
        with torch.device("meta"):
            expected = _published(ClearAIR(whole).state_dict(), whole)
    check_fit(state, expected, path, "Restormer")
    config = whole
    if blocks is not None:
        if len(blocks) != LEVELS:
            raise ConfigError(f"Restormer has {LEVELS} levels; got block counts for {len(blocks)}.")
        config = replace(whole, blocks=tuple(blocks), decoder_blocks=tuple(blocks[:-1]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ClearAIR(config).eval()
    ours = network.state_dict()
    names = {theirs: name for name, theirs in _names(ours, config).items()}
    taken = [name for name in state if name in names]
    network.load_state_dict({**ours, **{names[name]: state[name].float() for name in taken}})
    known = {names[name] for name in taken}
    return Import(
        network=network,
        groups=_groups(whole, config),
        taken=tuple(taken),
        left=tuple(name for name in state if name not in names),
        new=tuple(name for name in ours if name not in known),
    )


def _state(path: Path, trust_pickle: bool) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file.")
    read: Any = read_weight_file(
        path,
        trust_pickle=trust_pickle,
        hint="If you trust where it comes from, trust_pickle=True opens it nevertheless.",
    )
    tensors = tensors_by_name(read, path, "Restormer", inside=("params", "state_dict"))
    state = {name.removeprefix("module."): value for name, value in tensors.items()}
    if "patch_embed.proj.weight" not in state or "latent.0.attn.temperature" not in state:
        raise ModelError(f"{path}: is not Restormer's: it has no patch_embed.proj or latent.0.attn.")
    return state


def _config(state: Mapping[str, Tensor], path: Path) -> NetworkConfig:
    """The network that is Restormer itself."""
    width = len(state["patch_embed.proj.weight"])
    channels = tuple(width * 2**level for level in range(LEVELS))
    levels = [_level(level) for level in range(LEVELS)]
    hidden = _side(state, "latent.0.ffn.project_out.weight", 1)
    expansion = 2.66 if hidden == int(2.66 * channels[-1]) else hidden / channels[-1]
    try:
        return replace(
            BASE,
            channels=channels,
            blocks=tuple(_count(state, level) for level in levels),
            decoder_blocks=tuple(_count(state, f"decoder_level{level + 1}") for level in range(LEVELS - 1)),
            refinement_blocks=_count(state, "refinement"),
            heads=tuple(_side(state, f"{level}.0.attn.temperature", 0) for level in levels),
            block=BASE.block,
            expansion=expansion,
            norm_bias="latent.0.norm1.body.bias" in state,
            conv_bias="latent.0.attn.qkv.bias" in state,
            wide_decoder=True,
            stem=1,
            resampling="conv3x3",
            padding="zeros",
        )
    except ConfigError as error:
        raise ModelError(f"{path}: is not Restormer's: {error}") from error


def _level(level: int) -> str:
    return "latent" if level == LEVELS - 1 else f"encoder_level{level + 1}"


def _count(state: Mapping[str, Tensor], group: str) -> int:
    indices = [name.split(".")[1] for name in state if name.startswith(f"{group}.")]
    return max((int(index) + 1 for index in indices if index.isdecimal()), default=0)


def _side(state: Mapping[str, Tensor], name: str, axis: int) -> int:
    """A size, or 1 if there is no such tensor, which is then reported as missing."""
    tensor = state.get(name)
    return tensor.shape[axis] if tensor is not None and tensor.dim() > axis else 1


def _names(ours: Mapping[str, Tensor], config: NetworkConfig) -> dict[str, str]:
    """Our name of each tensor of the backbone -> theirs."""
    prefixes = {"extraction": "patch_embed.proj", "reconstruction": "output", "refinement": "refinement"}
    for level in range(len(config.channels)):
        prefixes[f"encoder.{level}"] = _level(level)
        prefixes[f"decoder.{level}"] = f"decoder_level{level + 1}"
        prefixes[f"down.{level}"] = f"down{level + 1}_{level + 2}"
        prefixes[f"up.{level}"] = f"up{level + 2}_{level + 1}"
        prefixes[f"reduce.{level}"] = f"reduce_chan_level{level + 1}"
    names = {}
    for name in ours:
        parts = name.split(".")
        for depth in (1, 2):
            if theirs := prefixes.get(".".join(parts[:depth])):
                rest = [f"{part}.body" if part in ("norm1", "norm2") else part for part in parts[depth:]]
                names[name] = ".".join([theirs, *rest])
    return names


def _published(ours: Mapping[str, Tensor], config: NetworkConfig) -> dict[str, Tensor]:
    return {theirs: ours[name] for name, theirs in _names(ours, config).items()}


def _groups(whole: NetworkConfig, config: NetworkConfig) -> tuple[Group, ...]:
    counts = [(_level(level), whole.blocks[level], config.blocks[level]) for level in range(LEVELS)]
    counts += [
        (f"decoder_level{level + 1}", whole.decoder_blocks[level], config.decoder_blocks[level])
        for level in reversed(range(LEVELS - 1))
    ]
    counts.append(("refinement", whole.refinement_blocks, config.refinement_blocks))
    return tuple(Group(name, there, min(there, wanted)) for name, there, wanted in counts)
