"""Training the perceivers: splits, targets, losses, and that a run can be interrupted."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from clearair.data.degradations import KINDS
from clearair.errors import DataError, ModelError, TrainingError
from clearair.perception.compact.config import EyesConfig
from clearair.perception.compact.eyes import CompactEyes
from clearair.perception.compact.weights import load_perceiver
from clearair.training.loop.checkpoint import load_checkpoint
from clearair.training.loop.loop import Interrupted, RunOptions, run
from clearair.training.loop.resume import ANNEALED, LATEST
from clearair.training.loop.trainer import Saving, Setup
from clearair.training.perceivers.losses import losses
from clearair.training.perceivers.samples import (
    PerceiverRecipe,
    draw_batch,
    draw_kinds,
    draw_views,
    load_photo,
    load_photos,
    quality_score,
)
from clearair.training.perceivers.task import PerceiverTask, publish
from clearair.training.perceivers.trainer import PerceiverTrainer

TINY = PerceiverRecipe(
    eyes=EyesConfig(
        far_pixels=32 * 32,
        far_widths=(4, 4, 4, 4),
        near_side=16,
        near_crops=4,
        near_spacing=16,
        near_widths=(4, 4, 4),
        dense_width=8,
    ),
    steps=4,
    batch=3,
    crops=(32, 48),
    real_dark=0.3,
    partial=0.5,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder laid out as the training data: three photos, one of them with maps, and a low-light pair."""
    root = tmp_path_factory.mktemp("data")
    for folder in ("clean/BSD400", "clean/other", "regions/BSDS500", "lowlight/S/input", "lowlight/S/target"):
        (root / "train" / folder).mkdir(parents=True)
    photo = Image.fromarray(skimage.data.astronaut()).resize((96, 80))
    photo.save(root / "train/clean/BSD400/12.jpg")
    photo.save(root / "train/clean/BSD400/77.jpg")
    photo.save(root / "train/clean/other/12.jpg")
    maps = np.zeros((80, 96), np.uint8)
    maps[:, 48:] = 7
    for annotator in (0, 3):
        Image.fromarray(maps).save(root / f"train/regions/BSDS500/77_{annotator}.png")
    for name in ("a", "b"):
        photo.save(root / f"train/lowlight/S/target/{name}.jpg")
        photo.point(lambda value: value // 8).save(
            root / f"train/lowlight/S/input/{name}.webp", lossless=True
        )
    return root


def train_perceivers(recipe: PerceiverRecipe, data: Path, out: Path, **options) -> CompactEyes:
    return run(PerceiverTask(recipe, data), out, **{"report": lambda line: None, **options})


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_held_out_photos_are_never_trained_on(data):
    (photos, pairs), (kept, kept_pairs) = load_photos(data), load_photos(data, held_out=True)
    assert [len(part) for part in (photos, pairs, kept, kept_pairs)] == [2, 1, 1, 1]
    assert kept[0].maps is None  # the first by name, BSD400/12.jpg
    assert pairs[0].dark.shape == pairs[0].clean.shape


def test_a_folder_without_photos_is_named(tmp_path):
    with pytest.raises(DataError, match="clean"):
        load_photos(tmp_path)


def test_a_photo_that_cannot_be_read_is_named_and_left_out(data, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(data, root)
    clean = root / "train/clean/other"
    for number in range(110):
        shutil.copy(clean / "12.jpg", clean / f"x{number}.jpg")
    (clean / "zzz.jpg").write_bytes(b"junk")
    task = PerceiverTask(TINY, root)
    lines = task.load()
    assert "zzz.jpg: not a picture" in lines[0]
    assert lines[1].startswith("1 of ")
    for number in range(3):
        (clean / f"y{number}.jpg").write_bytes(b"junk")
    with pytest.raises(DataError, match="more than 1%"):
        task.load()
    first = min((root / "train/clean").rglob("*.jpg"))
    first.write_bytes(b"junk")  # the only held-out one of its set
    said: list[str] = []
    photos, _ = load_photos(root, held_out=True, tell=said.append)
    assert photos
    assert str(first) in said[0]
    for path in (root / "train/clean").rglob("*.jpg"):
        path.write_bytes(b"junk")
    with pytest.raises(DataError, match="no photograph can be read"):
        task.load()


def test_training_only_regions_needs_maps(data, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(data, root)
    shutil.rmtree(root / "train/regions")
    with pytest.raises(DataError, match="train/regions/BSDS500"):
        PerceiverTask(replace(TINY, only_regions=True), root).load()


def test_maps_belong_to_the_photo_of_the_same_set(data):
    assert load_photo(data / "train/clean/BSD400/77.jpg", data).maps.shape == (2, 80, 96)
    assert load_photo(data / "train/clean/other/12.jpg", data).maps is None


def test_crops_of_photo_and_maps_stay_aligned(data):
    photo = load_photo(data / "train/clean/BSD400/77.jpg", data)
    painted = replace(photo, clean=photo.maps[:1].expand(3, -1, -1) * 36)
    batch = draw_batch([painted], [], replace(TINY, clean=1.0, mixed=0.0), generator())
    assert batch.mapped.all()
    agree = (batch.clean[:, 0] > 0.5) == (batch.maps[:, 0] > 0)
    assert agree.float().mean() > 0.97


def test_a_batch_is_the_same_from_the_same_seed(data):
    photo = load_photo(data / "train/clean/BSD400/77.jpg", data)
    first, second = (draw_batch([photo], [], TINY, generator(4)) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.kinds, second.kinds)


def test_a_picture_really_taken_in_the_dark_has_low_light_of_unknown_strength(data):
    (pair,) = load_photos(data)[1]
    batch = draw_batch([pair], [pair], replace(TINY, real_dark=1.0), generator())
    column = KINDS.index("lowlight")
    assert batch.kinds.sum(dim=0)[column] == len(batch.kinds) == batch.kinds.sum()
    assert batch.strength[:, column].isnan().all()
    assert (batch.images.mean() < 0.2 * batch.clean.mean()).item()


def test_scenes_that_are_meant_to_look_so_stay_as_they_are(data):
    day = load_photo(data / "train/clean/BSD400/77.jpg", data)
    night = replace(day, clean=day.clean // 8)
    damaged = replace(TINY, batch=8, clean=0.0, varied=0.0)
    batch = draw_batch([day, night], [], replace(damaged, lookalikes=1.0), generator())
    assert not batch.kinds.any()
    assert torch.equal(batch.images, batch.clean)
    assert (batch.images.mean(dim=(1, 2, 3)) < 0.125).all()
    usual = draw_batch([day, night], [], damaged, generator())
    assert usual.kinds.any(dim=1).all()


def test_kinds_are_drawn_in_the_shares_of_the_recipe():
    random = generator()
    counts = np.bincount([len(draw_kinds(PerceiverRecipe(), random)) for _ in range(4000)]) / 4000
    assert counts[0] == pytest.approx(PerceiverRecipe().clean, abs=0.03)
    assert counts[1] == pytest.approx(1 - PerceiverRecipe().clean - PerceiverRecipe().mixed, abs=0.04)


def test_quality_is_five_without_damage_and_falls_with_it():
    clean = torch.rand(1, 3, 32, 32, generator=generator()) * 0.8 + 0.1
    noise = torch.randn(1, 3, 32, 32, generator=generator(1))
    scores = [float(quality_score(clean + sigma * noise, clean)) for sigma in (0.0, 0.02, 0.05, 0.2)]
    assert scores[0] == pytest.approx(5.0)
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 1


def test_every_loss_is_finite_and_reaches_the_weights(data):
    photo = load_photo(data / "train/clean/BSD400/77.jpg", data)
    (pair,) = load_photos(data)[1]
    torch.manual_seed(0)
    eyes = CompactEyes(TINY.eyes, normed=True)
    batch = draw_batch([photo], [pair], replace(TINY, batch=6), generator(1))
    far, near, grid = draw_views(batch, TINY.eyes, generator())
    terms = losses(eyes, eyes.see(far, near, grid, batch.images), batch, generator())
    assert all(math.isfinite(float(term.detach())) for term in terms.values())
    sum(terms.values()).backward()
    idle = [name for name, value in eyes.named_parameters() if value.grad is None]
    assert idle == []


def test_an_interrupted_run_goes_on_exactly(data, tmp_path):
    def interrupt(line: str) -> None:
        if line.startswith("step 2 "):
            raise KeyboardInterrupt

    parts = tmp_path / "parts"
    whole = train_perceivers(TINY, data, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_perceivers(TINY, data, parts, report=interrupt, interval=1, save_seconds=0)
    resumed = train_perceivers(TINY, data, parts, resume=True, interval=1)
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in resumed.state_dict().items())
    steps = [json.loads(line)["step"] for line in (parts / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4]


def test_a_run_is_not_overwritten_unasked_and_stops_in_time(data, tmp_path):
    train_perceivers(TINY, data, tmp_path, max_minutes=0)
    assert load_checkpoint(tmp_path / LATEST).step == 1
    with pytest.raises(TrainingError, match="--resume"):
        train_perceivers(TINY, data, tmp_path)


def test_ranked_pairs_show_one_picture_with_damage_of_one_kind(data):
    photo = load_photo(data / "train/clean/BSD400/77.jpg", data)
    batch = draw_batch(
        [photo], [], replace(TINY, batch=8, ranked=1.0, real_dark=0.0, clean=0.0), generator(2)
    )
    assert batch.ranked
    for values in (batch.clean, batch.kinds):
        first, second = values.chunk(2)
        assert torch.equal(first, second)
    first, second = batch.strength.chunk(2)
    assert not torch.equal(first, second)


def test_a_checkpoint_of_another_shape_is_refused(data, tmp_path):
    train_perceivers(replace(TINY, steps=1), data, tmp_path)
    wider = replace(TINY, eyes=replace(TINY.eyes, dense_width=12))
    with pytest.raises(TrainingError, match=r"another network.*dense_width"):
        train_perceivers(wider, data, tmp_path, resume=True)


def test_training_only_regions_leaves_every_other_output_as_it_is(data, tmp_path):
    train_perceivers(replace(TINY, steps=2), data, tmp_path / "all")
    start = tmp_path / "all" / LATEST
    regions = replace(TINY, steps=2, only_regions=True)
    after = train_perceivers(regions, data, tmp_path / "regions", start=start)
    before = load_checkpoint(start).below("average")
    changed = {name for name, value in after.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith(("to_regions", "affinity")) for name in changed)


def test_publishing_with_data_calibrates_the_kinds_and_nothing_else(data, tmp_path):
    trained = train_perceivers(replace(TINY, steps=2), data, tmp_path, report=lambda line: None)
    publish(trained, TINY, tmp_path / "plain")
    publish(trained, TINY, tmp_path / "calibrated", data, batches=3)
    plain, calibrated = (load_perceiver(tmp_path / name)[0].state_dict() for name in ("plain", "calibrated"))
    changed = {name for name, value in plain.items() if not torch.equal(value, calibrated[name])}
    assert changed == {
        f"{head}.{name}" for head in ("kind_head", "picture_kind_head") for name in ("weight", "bias")
    }


def test_damage_in_parts_is_covered_in_parts(data):
    photo = load_photo(data / "train/clean/BSD400/77.jpg", data)
    recipe = replace(TINY, batch=24, partial=1.0, clean=0.0, mixed=0.0, ranked=0.0)
    batch = draw_batch([photo], [], recipe, generator(3))
    share = batch.cover.mean(dim=(2, 3))
    assert torch.equal(share > 0, batch.kinds)
    assert (batch.kinds.sum(dim=1) == 2).any()
    alone = batch.kinds.sum(dim=1) == 1
    assert (share[alone].sum(dim=1) < 0.9).any()


def test_pictures_have_eight_bits_and_clean_ones_are_their_own_truth(data):
    photo = load_photo(data / "train/clean/BSD400/77.jpg", data)
    batch = draw_batch([photo], [], replace(TINY, batch=24, varied=1.0), generator(5))
    assert torch.allclose(batch.images * 255, (batch.images * 255).round(), atol=1e-3)
    untouched = ~batch.kinds.any(dim=1)
    assert untouched.any()
    assert torch.equal(batch.images[untouched], batch.clean[untouched])


def test_published_weights_load_without_the_normalisation(data, tmp_path):
    average = train_perceivers(replace(TINY, steps=2), data, tmp_path)
    publish(average, TINY, tmp_path / "shipped")
    eyes = load_perceiver(tmp_path / "shipped")[0]
    images = torch.rand(1, 3, 40, 40)
    with torch.no_grad():
        torch.testing.assert_close(eyes(images).quality, average(images).quality, atol=0.02, rtol=0.02)


def test_published_weights_are_a_start_for_more_training(data, tmp_path):
    first = train_perceivers(replace(TINY, steps=1), data, tmp_path / "first")
    publish(first, TINY, tmp_path / "shipped")
    rest = replace(TINY, steps=1, learning_rate=1e-9, weight_decay=0.0)
    options = RunOptions(start=tmp_path / "shipped")
    setup = Setup(data, tmp_path / "second", options, saving=Saving(tmp_path / "again"))
    PerceiverTrainer(rest, setup).train()
    images = torch.rand(2, 3, 40, 40)
    with torch.no_grad():
        before, after = (load_perceiver(tmp_path / name)[0](images).levels for name in ("shipped", "again"))
    assert (before - after).abs().max() < 0.25


@pytest.mark.parametrize("resume", [False, True])
def test_a_new_run_starts_from_published_weights_also_where_it_is_to_be_resumed(data, tmp_path, resume):
    first = train_perceivers(replace(TINY, steps=1), data, tmp_path / "first")
    publish(first, TINY, tmp_path / "shipped")
    options = RunOptions(start=tmp_path / "shipped", resume=resume)
    PerceiverTrainer(replace(TINY, steps=1), Setup(data, tmp_path / "second", options)).train()
    assert load_checkpoint(tmp_path / "second" / LATEST).step == 1


def test_a_run_that_is_stopped_saves_its_annealed_copy(data, tmp_path):
    def stop(line: str) -> None:
        if line.startswith("step 3 "):
            os.kill(os.getpid(), signal.SIGTERM)

    options = RunOptions(interval=1, max_minutes=60, anneal_minutes=60)
    setup = Setup(data, tmp_path / "run", options, saving=Saving(tmp_path / "made"), report=stop)
    with pytest.raises(Interrupted):
        PerceiverTrainer(replace(TINY, steps=100), setup).train()
    eyes = CompactEyes(TINY.eyes, normed=True)
    load_checkpoint(tmp_path / "run" / ANNEALED).load_average(eyes)
    publish(eyes, TINY, tmp_path / "expected")
    made, expected = (load_perceiver(tmp_path / name)[0].state_dict() for name in ("made", "expected"))
    # The heads that name kinds are fitted besides.
    assert all(torch.equal(made[name], expected[name]) for name in made if "kind_head" not in name)


def test_a_start_is_refused_that_is_no_perceiver_or_another_one(data, tmp_path):
    missing = Setup(data, tmp_path / "run", RunOptions(start=tmp_path / "nothing"))
    with pytest.raises(ModelError, match="nothing"):
        PerceiverTrainer(TINY, missing).train()
    other = Setup(data, tmp_path / "run", RunOptions(start="compact"))
    with pytest.raises(TrainingError, match="other eyes than the recipe's"):
        PerceiverTrainer(TINY, other).train()
