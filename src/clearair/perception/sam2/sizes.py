"""The sizes of a SAM 2: from the shapes of its tensors, from transformers' config, or from the authors'.

What shapes do not tell, heads, windows and which blocks see the whole image, is known of the published sizes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from clearair.errors import ModelError
from clearair.weights import merged

_TRUNK, _DECODER = "image_encoder.trunk.", "sam_mask_decoder."
_PUBLISHED: dict[tuple[int, tuple[int, ...]], tuple[int, tuple[int, ...], tuple[int, ...]]] = {
    (96, (1, 2, 7, 2)): (1, (8, 4, 14, 7), (5, 7, 9)),
    (96, (1, 2, 11, 2)): (1, (8, 4, 14, 7), (7, 10, 13)),
    (112, (2, 3, 16, 3)): (2, (8, 4, 14, 7), (12, 16, 20)),
    (144, (2, 6, 36, 4)): (2, (8, 4, 16, 8), (23, 33, 43)),
}
"""Hiera's tiny, small, base plus and large: width and blocks -> heads at first, windows, global blocks."""


def sizes_from_shapes(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Transformers' config of a file with the authors' names; without what no published size fits."""
    width = tensors[_TRUNK + "patch_embed.proj.weight"].shape[0]
    dims, blocks = [width], [0]
    while (name := f"{_TRUNK}blocks.{sum(blocks)}.attn.proj.weight") in tensors:
        if f"{_TRUNK}blocks.{sum(blocks)}.proj.weight" in tensors:
            dims.append(tensors[name].shape[0])
            blocks.append(0)
        blocks[-1] += 1
    backbone: dict[str, Any] = {
        "hidden_size": width,
        "embed_dim_per_stage": dims,
        "blocks_per_stage": blocks,
        "window_positional_embedding_background_size": list(tensors[_TRUNK + "pos_embed"].shape[2:]),
    }
    if known := _PUBLISHED.get((width, tuple(blocks))):
        heads, windows, far = known
        backbone |= _heads(heads, len(blocks)) | {
            "window_size_per_stage": list(windows),
            "global_attention_blocks": list(far),
        }
    hidden = tensors["image_encoder.neck.convs.0.conv.weight"].shape[0]
    inner = tensors[_DECODER + "transformer.final_attn_token_to_image.q_proj.weight"].shape[0]
    return {
        "vision_config": {
            "backbone_config": backbone,
            "backbone_channel_list": dims[::-1],
            "fpn_hidden_size": hidden,
        },
        "prompt_encoder_config": {
            "hidden_size": hidden,
            "mask_input_channels": tensors["sam_prompt_encoder.mask_downscaling.3.weight"].shape[0],
        },
        "mask_decoder_config": {
            "hidden_size": hidden,
            "mlp_dim": tensors[_DECODER + "transformer.layers.0.mlp.layers.0.weight"].shape[0],
            "attention_downsample_rate": hidden // inner,
            "num_multimask_outputs": tensors[_DECODER + "mask_tokens.weight"].shape[0] - 1,
            "iou_head_hidden_dim": tensors[_DECODER + "iou_prediction_head.layers.0.weight"].shape[0],
        },
    }


def read_config(config: Mapping[str, Any] | Path | str) -> dict[str, Any]:
    """Transformers' config from itself or from the authors' (`model: image_encoder: ...`).

    A path may be JSON, or YAML as the authors write it. Raises ModelError.
    """
    values: Any = config
    if isinstance(config, str | Path):
        path = Path(config).expanduser()
        try:
            text = path.read_text()
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise ModelError(f"{path}: is not a config of SAM 2.") from error
        values = _parsed(path, text)
    if not isinstance(values, Mapping):
        raise ModelError(f"{config}: is not a config of SAM 2.")
    authors = values.get("model", values)
    if isinstance(authors, Mapping) and "image_encoder" in authors:
        return _from_authors(authors)
    parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    found = {name: values[name] for name in parts if values.get(name) is not None}
    if not found:
        raise ModelError(f"The config has none of {', '.join(parts)}: it is not SAM 2's.")
    return found


def _parsed(path: Path, text: str) -> Any:
    try:
        if path.suffix.lower() in (".yaml", ".yml"):
            import yaml  # type: ignore[import-untyped, unused-ignore]

            return yaml.safe_load(text)
        return json.loads(text)
    except Exception as error:  # each parser has its own errors
        raise ModelError(f"{path}: is damaged, or no config of SAM 2.") from error


def _from_authors(model: Mapping[str, Any]) -> dict[str, Any]:
    trunk, neck = model["image_encoder"].get("trunk", {}), model["image_encoder"].get("neck", {})
    names = {
        "embed_dim": "hidden_size",
        "stages": "blocks_per_stage",
        "window_spec": "window_size_per_stage",
        "global_att_blocks": "global_attention_blocks",
        "window_pos_embed_bkg_spatial_size": "window_positional_embedding_background_size",
        "q_pool": "num_query_pool_stages",
    }
    backbone = {ours: trunk[theirs] for theirs, ours in names.items() if theirs in trunk}
    stages = len(trunk.get("stages", (1, 2, 7, 2)))
    if "num_heads" in trunk:
        backbone |= _heads(int(trunk["num_heads"]), stages)
    if "embed_dim" in trunk:
        backbone["embed_dim_per_stage"] = [int(trunk["embed_dim"]) * 2**stage for stage in range(stages)]
    vision = {"backbone_config": backbone}
    names = {
        "d_model": "fpn_hidden_size",
        "backbone_channel_list": "backbone_channel_list",
        "fpn_top_down_levels": "fpn_top_down_levels",
    }
    vision |= {ours: neck[theirs] for theirs, ours in names.items() if theirs in neck}
    prompts = {"image_size": model["image_size"]} if "image_size" in model else {}
    return {"vision_config": vision, "prompt_encoder_config": prompts}


def check_counts(config: Mapping[str, Any]) -> None:
    """Raise ModelError for a number of something that is negative, at any depth; transformers takes it."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            check_counts(value)
        elif name.startswith("num_") and isinstance(value, int) and value < 0:
            raise ModelError(f"The config of SAM 2 has {name} = {value}.")


def with_square(config: Mapping[str, Any]) -> dict[str, Any]:
    """With what follows from the side of the image, and the names of the parts, where they are not given."""
    side = config.get("prompt_encoder_config", {}).get("image_size", 1024)
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": {"model_type": "sam2_hiera_det_model", "image_size": [side, side]},
        "backbone_feature_sizes": [[side // stride] * 2 for stride in (4, 8, 16)],
    }
    return merged({"vision_config": vision}, config)


def _heads(first: int, stages: int) -> dict[str, Any]:
    heads = [first * 2**stage for stage in range(stages)]
    return {"num_attention_heads": first, "num_attention_heads_per_stage": heads}
