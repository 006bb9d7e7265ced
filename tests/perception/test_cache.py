from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from clearair.errors import OutputError
from clearair.perception.cache import CachedPerceiver
from clearair.perception.compact.eyes import CompactEyes
from clearair.perception.compact.perceiver import CompactPerceiver
from tests.perception.conftest import TINY, same_percepts


def files(folder):
    return sorted(folder.glob("*/*.safetensors"))


def test_what_was_perceived_once_is_read_and_the_same_percepts(tiny_perceiver, astronaut, tmp_path):
    cached = CachedPerceiver(tiny_perceiver, tmp_path)
    first = cached.perceive_image(astronaut)
    assert same_percepts(first, tiny_perceiver.perceive_image(astronaut))
    again = CachedPerceiver(tiny_perceiver, tmp_path)
    assert same_percepts(again.perceive_image(astronaut), first)
    assert (again.hits, again.misses) == (1, 0)
    assert cached.identity == tiny_perceiver.identity


def test_another_image_shape_or_depth_is_another_entry(tiny_perceiver, astronaut, tmp_path):
    cached = CachedPerceiver(tiny_perceiver, tmp_path)
    changed = astronaut.copy()
    changed[0, 0, 0] ^= 1
    turned = np.ascontiguousarray(astronaut.reshape(128, 512, 3))
    for image in (astronaut, changed, turned, astronaut.astype(np.uint16)):
        cached.perceive_image(image)
    assert (cached.hits, cached.misses) == (0, 4)


def test_other_weights_never_meet_these_entries(tiny_perceiver, astronaut, tmp_path):
    CachedPerceiver(tiny_perceiver, tmp_path).perceive_image(astronaut)
    torch.manual_seed(1)
    other = CachedPerceiver(CompactPerceiver(CompactEyes(TINY)), tmp_path)
    other.perceive_image(astronaut)
    assert (other.hits, other.misses) == (0, 1)


def test_training_and_restoring_share_entries(tiny_perceiver, astronaut, tmp_path):
    cached = CachedPerceiver(tiny_perceiver, tmp_path)
    percepts = cached.perceive_image(astronaut)
    image = torch.from_numpy(astronaut).permute(2, 0, 1)[None] / 255
    with torch.autocast("cpu", torch.bfloat16):
        guidance = cached.perceive(image)
    assert (cached.hits, cached.misses) == (1, 1)
    np.testing.assert_array_equal(guidance.labels[0], percepts.labels)
    np.testing.assert_array_equal(guidance.quality, percepts.guidance.quality)


@pytest.mark.parametrize("length", [0, 100, -1])
def test_a_damaged_entry_is_perceived_again(length, tiny_perceiver, astronaut, tmp_path):
    cached = CachedPerceiver(tiny_perceiver, tmp_path)
    first = cached.perceive_image(astronaut)
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    assert same_percepts(cached.perceive_image(astronaut), first)
    assert path.read_bytes() == whole


def test_beyond_its_limit_what_was_used_last_stays(tiny_perceiver, astronaut, tmp_path):
    images = [np.roll(astronaut, shift, axis=0) for shift in range(6)]
    probe = CachedPerceiver(tiny_perceiver, tmp_path / "probe")
    probe.perceive_image(astronaut)
    size = files(tmp_path / "probe")[0].stat().st_size
    cached = CachedPerceiver(tiny_perceiver, tmp_path / "small", limit=3 * size)
    for image in images:
        cached.perceive_image(image)
    kept = files(tmp_path / "small")
    assert 1 <= len(kept) <= 3
    assert sum(path.stat().st_size for path in kept) <= 3 * size
    before = cached.hits
    cached.perceive_image(images[-1])
    assert cached.hits == before + 1


def test_a_label_map_costs_little(tiny_perceiver, tmp_path):
    flat = np.full((1500, 1500, 3), 90, np.uint8)
    CachedPerceiver(tiny_perceiver, tmp_path).perceive_image(flat)
    assert files(tmp_path)[0].stat().st_size < 50_000


def test_percepts_without_words_come_back(tiny_perceiver, astronaut, tmp_path):
    class Wordless:
        identity = tiny_perceiver.identity

        def perceive_image(self, image):
            seen = tiny_perceiver.perceive_image(image)
            nothing = np.zeros((seen.guidance.regions, 0), np.float32)
            return replace(seen, names=(), probabilities=nothing[0], local_probabilities=nothing)

    cached = CachedPerceiver(Wordless(), tmp_path)
    assert same_percepts(cached.perceive_image(astronaut), cached.perceive_image(astronaut))
    assert cached.hits == 1


def test_a_folder_that_cannot_be_made_is_named(tiny_perceiver, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        CachedPerceiver(tiny_perceiver, tmp_path / "file")
