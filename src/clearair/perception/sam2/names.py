"""Maps tensor names between SAM 2's authors and transformers."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

# In this order: the names of the prompt encoder's norms must not meet the general rule for norms.
_RULES = (
    (r"^vision_encoder\.backbone\.", "image_encoder.trunk."),
    (r"^vision_encoder\.neck\.convs\.(\d+)\.", r"image_encoder.neck.convs.\1.conv."),
    (r"^prompt_encoder\.", "sam_prompt_encoder."),
    (r"^mask_decoder\.", "sam_mask_decoder."),
    (r"^no_memory_embedding$", "no_mem_embed"),
    (r"\.patch_embed\.projection\.", ".patch_embed.proj."),
    (r"\.shared_embedding\.positional_embedding$", ".pe_layer.positional_encoding_gaussian_matrix"),
    (r"\.mask_embed\.conv1\.", ".mask_downscaling.0."),
    (r"\.mask_embed\.layer_norm1\.", ".mask_downscaling.1."),
    (r"\.mask_embed\.conv2\.", ".mask_downscaling.3."),
    (r"\.mask_embed\.layer_norm2\.", ".mask_downscaling.4."),
    (r"\.mask_embed\.conv3\.", ".mask_downscaling.6."),
    (r"\.upscale_conv1\.", ".output_upscaling.0."),
    (r"\.upscale_layer_norm\.", ".output_upscaling.1."),
    (r"\.upscale_conv2\.", ".output_upscaling.3."),
    (r"\.layer_norm", ".norm"),
    (r"\.o_proj\.", ".out_proj."),
    (r"\.mlp\.proj_in\.", ".mlp.layers.0."),
    (r"\.mlp\.proj_out\.", ".mlp.layers.1."),
)
_HEADS = re.compile(r"\.(output_hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head)\.(.+)$")
_POINTS = "prompt_encoder.point_embed.weight"
_TIED = {
    "shared_image_embedding.positional_embedding": "prompt_encoder.shared_embedding.positional_embedding"
}
"""Stored once by the authors, and perhaps once by transformers."""

_VIDEO = re.compile(
    r"^(memory_attention\.|memory_encoder\.|mask_downsample\.|maskmem_tpos_enc$|memory_temporal_positional_encoding$"
    r"|no_mem_pos_enc$|no_memory_positional_encoding$|no_obj_ptr$|no_object_pointer$|no_obj_embed_spatial$"
    r"|occlusion_spatial_embedding_parameter$|obj_ptr_proj\.|object_pointer_proj\.|obj_ptr_tpos_proj\."
    r"|temporal_positional_encoding_projection_layer\.)"
)


def without_video(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what SAM 2 needs only for videos: its memory and its pointers to objects, in either naming."""
    return {name: value for name, value in tensors.items() if not _VIDEO.match(name)}


def is_authors(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the authors' names."""
    return any(name.startswith("image_encoder.trunk.") for name in tensors)


def expected_names(ours: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a file with such names as `found` must hold to fill the tensors `ours` of a model."""
    if not is_authors(found):
        tied = [name for name in _TIED if name not in found]
        return {name: value for name, value in ours.items() if name not in tied}
    expected: dict[str, Tensor] = {}
    for name, value in ours.items():
        if name == _POINTS:
            expected |= {_point(index): value[index : index + 1] for index in range(len(value))}
        elif name not in _TIED:
            expected[authors_name(name, ours)] = value
    return expected


def renamed(ours: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors `found`, of either naming, under the names of `ours`."""
    values: dict[str, Tensor] = {}
    authors = is_authors(found)
    for name in ours:
        source = name if authors or name in found else _TIED.get(name, name)
        if not authors:
            values[name] = found[source]
        elif name == _POINTS:
            values[name] = torch.cat([found[_point(index)] for index in range(len(ours[name]))])
        else:
            values[name] = found[authors_name(_TIED.get(name, name), ours)]
    return values


def authors_name(name: str, names: Mapping[str, Tensor]) -> str:
    """What the authors call one of `names`, transformers' names of a whole model."""
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    return _HEADS.sub(lambda found: f".{found[1]}.layers.{_layer(found, names)}", name)


def _layer(found: re.Match[str], names: Mapping[str, Tensor]) -> str:
    """Transformers calls the first and the last layer of a head proj_in and proj_out, and counts between."""
    rest = found[2]
    if rest.startswith("proj_in."):
        return rest.replace("proj_in", "0")
    if rest.startswith("layers."):
        _, index, kind = rest.split(".")
        return f"{int(index) + 1}.{kind}"
    between = {part[2] for name in names if (part := _HEADS.search(name)) and part[1] == found[1]}
    count = sum(part.startswith("layers.") and part.endswith(".weight") for part in between)
    return rest.replace("proj_out", str(count + 1))


def _point(index: int) -> str:
    return f"sam_prompt_encoder.point_embeddings.{index}.weight"
