"""A tiny SAM 2 with random weights, and its file as the authors write it, named without our table."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.perception.sam2.official import official_tensors

pytest.importorskip("transformers", reason="needs the extra sam2")

TINY = {
    "vision_config": {
        "model_type": "sam2_vision_model",
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": 8,
            "num_attention_heads": 1,
            "embed_dim_per_stage": [8, 16, 32, 64],
            "num_attention_heads_per_stage": [1, 2, 4, 8],
            "blocks_per_stage": [1, 1, 2, 1],
            "window_size_per_stage": [4, 4, 4, 2],
            "window_positional_embedding_background_size": [3, 3],
            "global_attention_blocks": [3],
            "image_size": [128, 128],
        },
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        "fpn_hidden_size": 32,
    },
    "prompt_encoder_config": {"hidden_size": 32, "image_size": 128, "mask_input_channels": 8},
    "mask_decoder_config": {
        "hidden_size": 32,
        "mlp_dim": 48,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 24,
    },
}
"""In transformers' format."""


def tiny_sam2(seed: int = 0) -> Any:
    from transformers import Sam2Config, Sam2Model

    torch.manual_seed(seed)
    model = Sam2Model(Sam2Config(**copy.deepcopy(TINY))).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.dim() == 1:  # norms near one, or all masks would look alike
                value.normal_(float("norm" in name and name.endswith("weight")), 0.2)
            elif "weight" in name and "embed" not in name and "token" not in name:
                value.normal_(std=1.5 / value[0].numel() ** 0.5)
            else:
                value.normal_(std=0.5)
        for head in model.mask_decoder.output_hypernetworks_mlps:
            head.proj_out.weight /= 10  # logits of a few units, as trained ones are
    matrix = model.shared_image_embedding.positional_embedding
    model.prompt_encoder.shared_embedding.positional_embedding = matrix.clone()
    return model


@pytest.fixture(scope="session")
def tiny_model() -> Any:
    return tiny_sam2()


@pytest.fixture(scope="session")
def hub_folder(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As on the Hugging Face Hub: config.json and model.safetensors."""
    folder = tmp_path_factory.mktemp("sam2") / "hub"
    tiny_model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def authors_file(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the authors write it."""
    path = tmp_path_factory.mktemp("sam2") / "sam2_tiny.pt"
    torch.save({"model": official_tensors(tiny_model)}, path)
    return path
