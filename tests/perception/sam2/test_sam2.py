from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from clearair.errors import ImageError, ModelError, UsageError
from clearair.perception import load_regions
from clearair.perception.sam2 import MaskSettings, Sam2Regions
from tests.perception.sam2.conftest import TINY

ALL = MaskSettings(predicted_iou=0.0, stability=0.0, box_overlap=1.0)
"""Random weights are sure of nothing."""


@pytest.fixture(scope="module")
def regions(hub_folder):
    return load_regions("sam2", hub_folder, settings=ALL)


@pytest.mark.parametrize("size", [(96, 128), (128, 96), (40, 160)])
def test_both_layouts_give_the_same_label_maps(size, hub_folder, authors_file, astronaut):
    image = np.ascontiguousarray(astronaut[: size[0], : size[1]])
    ours = [
        load_regions("sam2", hub_folder, settings=ALL),
        load_regions("sam2", authors_file, config=TINY, settings=ALL),
    ]
    (one,), (other,) = (perceiver.segment([image]) for perceiver in ours)
    assert one.shape == size
    assert one.dtype == np.uint8
    assert len(np.unique(one)) > 1
    np.testing.assert_array_equal(one, other)
    for mine, theirs in zip(ours[0].ask(image), ours[1].ask(image), strict=True):
        assert torch.equal(mine, theirs)


def test_what_is_loaded_is_what_was_written(tiny_model, authors_file):
    loaded = load_regions("sam2", authors_file, config=TINY).model.state_dict()
    for name, value in tiny_model.state_dict().items():
        assert torch.equal(loaded[name], value), name


def test_what_only_videos_need_is_ignored(authors_file, tmp_path):
    tensors = torch.load(authors_file, weights_only=True)["model"]
    tensors["memory_encoder.out_proj.weight"] = torch.zeros(2, 2)
    tensors["maskmem_tpos_enc"] = torch.zeros(7, 1, 1, 2)
    path = tmp_path / "video.pt"
    torch.save({"model": tensors}, path)
    assert load_regions("sam2", path, config=TINY).fingerprint == (
        load_regions("sam2", authors_file, config=TINY).fingerprint
    )


def test_a_config_file_in_either_format_will_do(authors_file, hub_folder, tmp_path):
    trunk = {
        "embed_dim": 8,
        "num_heads": 1,
        "stages": [1, 1, 2, 1],
        "window_spec": [4, 4, 4, 2],
        "global_att_blocks": [3],
        "window_pos_embed_bkg_spatial_size": [3, 3],
    }
    authors = {"model": {"image_encoder": {"trunk": trunk, "neck": {"d_model": 32}}, "image_size": 128}}
    (tmp_path / "authors.json").write_text(json.dumps(authors))
    heads = {"mask_decoder_config": {"num_attention_heads": 8}}
    one = load_regions("sam2", authors_file, config=tmp_path / "authors.json").model.config
    other = load_regions("sam2", authors_file, config=TINY | heads).model.config
    assert one.vision_config.backbone_config.to_dict() == other.vision_config.backbone_config.to_dict()
    assert load_regions("sam2", hub_folder, config=hub_folder / "config.json").side == 128


def test_misfitting_tensors_are_all_listed(authors_file, tmp_path):
    tensors = torch.load(authors_file, weights_only=True)["model"]
    del tensors["image_encoder.trunk.blocks.1.norm1.weight"]
    tensors["a.stranger"] = torch.zeros(1)
    tensors["no_mem_embed"] = torch.zeros(3)
    path = tmp_path / "odd.pt"
    torch.save({"model": tensors}, path)
    with pytest.raises(ModelError) as caught:
        load_regions("sam2", path, config=TINY)
    for part in (
        "odd.pt",
        "missing: image_encoder.trunk.blocks.1.norm1.weight",
        "a.stranger",
        "no_mem_embed is",
    ):
        assert part in str(caught.value)


def test_a_tensor_that_sizes_are_read_from_is_named_when_missing(authors_file, tmp_path):
    tensors = torch.load(authors_file, weights_only=True)["model"]
    del tensors["sam_mask_decoder.mask_tokens.weight"]
    torch.save({"model": tensors}, tmp_path / "odd.pt")
    with pytest.raises(ModelError, match=r"missing: sam_mask_decoder\.mask_tokens\.weight"):
        load_regions("sam2", tmp_path / "odd.pt", config=TINY)


def test_an_unpublished_size_needs_a_config(authors_file):
    with pytest.raises(ModelError, match=r"width 8, blocks \[1, 1, 2, 1\].*give its config"):
        load_regions("sam2", authors_file)


def test_another_models_file_is_refused(tmp_path):
    save_file({"conv.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="is not SAM 2's"):
        load_regions("sam2", tmp_path)


def test_a_truncated_file_is_named(hub_folder, tmp_path):
    whole = (hub_folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "config.json").write_text((hub_folder / "config.json").read_text())
    with pytest.raises(ModelError, match=r"model\.safetensors: not a whole"):
        load_regions("sam2", tmp_path)


def test_code_in_a_pickle_does_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"model": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(ModelError, match="refused"):
        load_regions("sam2", tmp_path / "bomb.pt")
    assert not (tmp_path / "ran").exists()


def test_weights_are_needed():
    with pytest.raises(UsageError, match="needs weights"):
        load_regions("sam2")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"mask_decoder_config": {"num_hidden_layers": "many"}}, "do not make a SAM 2"),
        ({"mask_decoder_config": {"num_attention_heads": -1}}, "num_attention_heads = -1"),
        ({"prompt_encoder_config": 5}, "do not make a SAM 2"),
        ({"prompt_encoder_config": {"image_size": "64"}}, "do not make a SAM 2"),
        ({"image_encoder": 5}, "do not make a SAM 2"),
        ({"image_encoder": {"trunk": {"stages": 5}}}, "do not make a SAM 2"),
        ({"image_encoder": {"trunk": {"num_heads": "x"}}}, "do not make a SAM 2"),
        ({"image_encoder": {"trunk": {"embed_dim": []}}}, "do not make a SAM 2"),
    ],
)
def test_a_config_that_makes_no_model_is_an_error_of_one_line(hub_folder, config, said):
    with pytest.raises(ModelError, match=said) as caught:
        load_regions("sam2", hub_folder, config=config)
    assert "\n" not in str(caught.value)


def test_another_file_or_setting_has_another_fingerprint(hub_folder, tmp_path, regions):
    tensors = load_file(hub_folder / "model.safetensors")
    tensors["no_memory_embedding"] = tensors["no_memory_embedding"] + 1
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((hub_folder / "config.json").read_text())
    assert load_regions("sam2", tmp_path, settings=ALL).fingerprint != regions.fingerprint
    assert load_regions("sam2", hub_folder, settings=ALL).fingerprint == regions.fingerprint
    assert Sam2Regions(regions.model, replace(ALL, regions=3)).fingerprint != regions.fingerprint


def test_points_in_one_batch_or_many_give_the_same_masks(regions, astronaut):
    single = Sam2Regions(regions.model, replace(ALL, points_per_batch=3))
    (logits, scores), (others, other_scores) = regions.ask(astronaut), single.ask(astronaut)
    assert len(scores) == 3 * 16
    torch.testing.assert_close(scores, other_scores)
    torch.testing.assert_close(logits, others, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (4, 160), (160, 4), (33, 77)])
@pytest.mark.parametrize("level", [0, 255])
def test_flat_images_of_any_shape_get_a_label_map(regions, size, level):
    (labels,) = regions.segment([np.full((*size, 3), level, np.uint8)])
    assert labels.shape == size
    assert labels.max() <= 16


def test_without_a_mask_there_is_one_region(hub_folder, astronaut):
    unsure = load_regions("sam2", hub_folder, settings=MaskSettings(predicted_iou=1.0))
    assert not unsure.segment([astronaut])[0].any()


def test_floats_are_rounded_to_what_a_file_would_hold(regions, astronaut):
    (one,) = regions.segment([astronaut])
    (other,) = regions.segment([astronaut.astype(np.float64) / 255 - 0.001])
    np.testing.assert_array_equal(one, other)


def test_an_array_of_another_kind_is_refused(regions):
    with pytest.raises(ImageError, match="RGB"):
        regions.segment([np.zeros((4, 4), np.uint8)])


def test_pil_images_are_segmented_like_arrays(regions, astronaut):
    image = pytest.importorskip("PIL.Image").fromarray(astronaut)
    one, other = regions.segment([image, astronaut])
    np.testing.assert_array_equal(one, other)


def test_torchvision_is_not_loaded(hub_folder):
    code = (
        "import sys; from clearair.perception import load_regions; "
        f"load_regions('sam2', {str(hub_folder)!r}); sys.exit('torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
