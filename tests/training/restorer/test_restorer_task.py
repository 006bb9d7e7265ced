from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from shade import Shade
from torch.utils._python_dispatch import TorchDispatchMode

from clearair.data.pairs import Mix, generator_for
from clearair.data.photos import load_training_photos
from clearair.errors import ConfigError, DataError, TrainingError
from clearair.network import ClearAIR
from clearair.perception import load_compact
from clearair.perception.cache import CachedPerceiver
from clearair.perception.compact.config import EyesConfig
from clearair.perception.compact.eyes import CompactEyes
from clearair.perception.compact.perceiver import CompactPerceiver
from clearair.runtime import precision
from clearair.training.loop.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from clearair.training.loop.loop import run
from clearair.training.loop.resume import LATEST, STABLE, last_checkpoint
from clearair.training.loop.update import update
from clearair.training.restorer.losses import clue_reuse, image_weights, spectrum_error
from clearair.training.restorer.patches import Patches, draw_patches
from clearair.training.restorer.recipe import Recipe, Stage
from clearair.training.restorer.recipes import base, smoke
from clearair.training.restorer.task import RestorerTask
from clearair.training.restorer.visibility import visibility


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return replace(smoke(), steps=6, decay_steps=2, warmup=2, batch=2, view=64, patch=32)


def test_a_step_of_the_papers_network_is_made(data):
    task = RestorerTask(replace(base(), batch=1, view=64, patch=32), data)
    task.load()
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    generator = generator_for(0, 0)
    values = update(task, task.draw(0, generator), task.optimizers(), generator)
    assert values["loss"].isfinite()
    # What begins neutral lets no gradient through to what lies before it, so not everything moves at once.
    moved = [name for name, value in task.network.state_dict().items() if not value.equal(before[name])]
    assert "reconstruction.weight" in moved


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(out / LATEST).tensors


def train(recipe: Recipe, data: Path, out: Path, **options) -> ClearAIR:
    return run(RestorerTask(recipe, data), out, report=lambda line: None, **options)


def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(recipe, data, tmp_path):
    train(recipe, data, tmp_path / "whole")
    for _ in range(10):
        train(recipe, data, tmp_path / "parts", resume=True, max_minutes=0)
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_another_seed_gives_other_weights(recipe, data, tmp_path):
    short = replace(recipe, steps=2)
    train(short, data, tmp_path / "a")
    train(replace(short, seed=1), data, tmp_path / "b")
    name = "network.extraction.weight"
    assert not torch.equal(weights(tmp_path / "a")[name], weights(tmp_path / "b")[name])


def test_a_longer_run_goes_on_from_before_the_annealing(recipe, data, tmp_path):
    train(recipe, data, tmp_path)
    stable = load_checkpoint(tmp_path / STABLE)
    assert stable.step == 4
    train(replace(recipe, steps=9), data, tmp_path, resume=True)
    train(replace(recipe, steps=9), data, tmp_path / "direct")
    assert load_checkpoint(tmp_path / LATEST).step == 9
    resumed, direct = weights(tmp_path), weights(tmp_path / "direct")
    assert all(torch.equal(resumed[name], direct[name]) for name in direct)


@pytest.mark.parametrize("change", [{"fixed_tone": True}, {"only_tone": True}, {"optimizer": "adamw"}])
def test_a_run_that_trains_other_weights_begins_its_optimizer_anew(recipe, data, tmp_path, change):
    toned = replace(recipe, network=replace(recipe.network, tone=True), decay_steps=0, steps=2)
    train(toned, data, tmp_path)
    lines: list[str] = []
    other = RestorerTask(replace(toned, steps=3, **change), data)
    run(other, tmp_path, resume=True, change=True, report=lines.append)
    assert any(line.startswith("The optimizer begins anew") and next(iter(change)) in line for line in lines)
    assert load_checkpoint(tmp_path / LATEST).step == 3


def test_the_loss_of_the_same_patches_falls(recipe, data, tmp_path):
    haze = Mix(single={"haze": 1.0}, clean=0.0, mixture=0.0, partial=0.0)
    longer = replace(recipe, mix=haze, steps=40, decay_steps=10, batch=4, learning_rate=3e-3)
    task = RestorerTask(longer, data)
    task.load()
    batches = [task.draw(step, generator_for(1, step)) for step in range(6)]

    def loss() -> float:
        terms = [task.compare(batch, generator_for(0, 0)).minimised["l1"] for batch in batches]
        return float(torch.stack(terms).mean().detach())

    before = loss()
    run(task, tmp_path, report=lambda line: None)
    assert loss() < 0.98 * before


def test_views_that_are_told_are_free_to_change_and_the_others_as_perceived(recipe, data):
    haze = Mix(single={"haze": 1.0}, clean=0.0, mixture=0.0, partial=0.0, real={})
    photos = load_training_photos(data, ())
    perceiver = load_compact()
    drawn = {}
    for told in (0.0, 0.5, 1.0):
        some = replace(recipe, mix=haze, batch=8, told=told)
        drawn[told] = draw_patches(some, photos, perceiver, 0, generator_for(3, 0)).guidance
    assert (drawn[1.0].change == 1).all()
    assert (drawn[1.0].tone == 1).all()
    same = (drawn[0.5].degradation == drawn[0.0].degradation).all(dim=1)
    assert 0 < same.sum() < 8
    assert (drawn[0.5].change[~same] == 1).all()
    assert torch.equal(drawn[0.5].change[same], drawn[0.0].change[same])


def test_a_folder_with_a_run_is_not_overwritten(recipe, data, tmp_path):
    short = replace(recipe, steps=1)
    train(short, data, tmp_path)
    with pytest.raises(TrainingError, match="--resume"):
        train(short, data, tmp_path)


def test_a_run_of_another_network_cannot_be_resumed(recipe, data, tmp_path):
    short = replace(recipe, steps=1)
    train(short, data, tmp_path)
    other = replace(short, network=replace(short.network, prompts=5))
    with pytest.raises(TrainingError, match="prompts"):
        train(other, data, tmp_path, resume=True)


def test_a_run_goes_on_only_with_the_perceiver_it_began_with(recipe, data, tmp_path):
    train(recipe, data, tmp_path, max_minutes=0)
    other = RestorerTask(recipe, data, perceiver=CompactPerceiver(CompactEyes(EyesConfig())))
    with pytest.raises(TrainingError, match=r"perceiver compact \w{12} -> compact \w{12}"):
        run(other, tmp_path, resume=True)


def test_missing_photographs_are_named(recipe, tmp_path):
    with pytest.raises(DataError, match="clean"):
        train(recipe, tmp_path / "nothing", tmp_path / "out")


def test_a_broken_checkpoint_is_named(recipe, data, tmp_path):
    (tmp_path / LATEST).write_bytes(b"\x10\x00\x00\x00nonsense")
    with pytest.raises(TrainingError, match=LATEST):
        train(recipe, data, tmp_path, resume=True)


@pytest.mark.parametrize("windows", [1, 2])
def test_a_run_from_before_a_setting_existed_did_what_its_default_does(recipe, tmp_path, windows):
    older = {name: value for name, value in recipe.to_dict().items() if name != "windows"}
    save_checkpoint(Checkpoint(1, older, {}, 0.0), tmp_path / LATEST)
    settings = replace(recipe, windows=windows).to_dict()
    if windows == 1:
        assert last_checkpoint(tmp_path, settings, "network", resume=True, change=False).step == 1
    else:
        with pytest.raises(TrainingError, match="windows 1 -> 2"):
            last_checkpoint(tmp_path, settings, "network", resume=True, change=False)


def drawn(recipe: Recipe, data: Path) -> Patches:
    task = RestorerTask(recipe, data, perceiver=Shade())
    task.load()
    return task.draw(0, generator_for(0, 0)).patches


def test_the_labels_of_a_patch_are_those_of_its_place_in_the_view(recipe, data):
    task = RestorerTask(replace(recipe, mask_dropout=0.0, batch=8), data, perceiver=Shade())
    task.load()
    several = [task.draw(step, generator_for(0, step)).patches for step in range(4)]
    patches = next(patches for patches in several if patches.windows[0].origin != (0, 0))
    assert patches.overview.size == (64, 64)
    assert torch.equal(patches.windows[0].labels, Shade().perceive(patches.windows[0].damaged).labels)


def test_several_windows_of_a_view_lie_apart_and_are_learned_from_alike(recipe, data):
    task = RestorerTask(replace(recipe, windows=3, clue_reuse="anchored"), data, perceiver=Shade())
    task.load()
    lesson = task.draw(1, generator_for(0, 1))
    windows = lesson.patches.windows
    assert len(windows) == 3
    assert len({window.origin for window in windows}) > 1
    shape = (recipe.batch, 3, recipe.patch, recipe.patch)
    assert all(window.damaged.shape == window.clean.shape == shape for window in windows)
    together = task.compare(lesson, generator_for(0, 1)).minimised
    alone = [
        task.compare(
            replace(lesson, patches=replace(lesson.patches, windows=(window,))), generator_for(0, 1)
        ).minimised
        for window in windows
    ]
    for name, value in together.items():
        torch.testing.assert_close(value, torch.stack([terms[name] for terms in alone]).mean())


@pytest.mark.parametrize(("probability", "kept"), [(0.0, True), (1.0, False)])
def test_mask_dropout_merges_regions_into_the_background(recipe, data, probability, kept):
    patches = drawn(replace(recipe, mask_dropout=probability), data)
    assert bool(patches.guidance.labels.any()) is kept
    # What is dropped is dropped for the tokens too: all cells are in the background.
    assert bool(patches.overview.areas[:, 1:].any()) is kept


@pytest.mark.parametrize("form", ["paper", "detached", "anchored"])
def test_clue_reuse_is_part_of_the_loss_in_the_form_that_is_asked_for(recipe, data, form):
    losses = {}
    for choice in ("off", form):
        task = RestorerTask(replace(recipe, clue_reuse=choice, alpha=100.0), data)
        task.load()
        lesson = task.draw(0, generator_for(0, 0))
        terms = task.compare(lesson, generator_for(0, 0))
        losses[choice] = sum(float(term.detach()) for term in terms.minimised.values())
        assert ("icrm" in terms.minimised) is (choice != "off")
        if choice != "off":
            view, patches = lesson.view, lesson.patches
            expected = 100 * clue_reuse(patches.windows[0].damaged, patches.clean, view, recipe.gamma, form)
            # The network begins as the identity, so that its answer is the damaged patch.
            assert torch.isclose(terms.minimised["icrm"].detach(), expected, rtol=0.05)
            assert terms.observed["icrm share"] > 0
    assert losses[form] > losses["off"]


def test_the_spectrum_is_part_of_the_loss_at_its_weight(recipe, data):
    for weight in (0.0, 0.5):
        task = RestorerTask(replace(recipe, fft=weight), data)
        task.load()
        lesson = task.draw(0, generator_for(0, 0))
        terms = task.compare(lesson, generator_for(0, 0))
        assert ("fft" in terms.minimised) is (weight > 0)
    # The network begins as the identity, so that its answer is the damaged patch.
    expected = 0.5 * spectrum_error(lesson.patches.windows[0].damaged, lesson.patches.clean)
    assert torch.isclose(terms.minimised["fft"].detach(), expected, rtol=0.05)
    assert terms.observed["fft share"] > 0


def test_what_is_nearly_right_counts_more_where_errors_are_balanced(recipe, data):
    losses = {}
    for balance in (0.0, 1.0):
        task = RestorerTask(replace(recipe, balance=balance, fft=0.1), data)
        task.load()
        lesson = task.draw(0, generator_for(0, 0))
        losses[balance] = task.compare(lesson, generator_for(0, 0)).minimised
    # The network begins as the identity.
    errors = (lesson.patches.windows[0].damaged - lesson.patches.clean).abs().mean((1, 2, 3))
    expected = (0.03 / (errors + 0.005) * errors).mean()
    assert torch.isclose(losses[1.0]["l1"].detach(), expected, rtol=0.05)
    assert torch.isclose(losses[0.0]["l1"].detach(), errors.mean(), rtol=0.05)
    assert losses[1.0]["fft"] != losses[0.0]["fft"]


def test_an_image_can_be_weighed_by_its_fine_error_alone(recipe, data):
    task = RestorerTask(replace(recipe, balance=1.0, balance_fine=True), data)
    task.load()
    lesson = task.draw(0, generator_for(0, 0))
    damaged = lesson.patches.windows[0].damaged
    # A veil over the lower half, in whole squares of 16 pixels.
    damaged[:, :, 16:] = damaged[:, :, 16:] * 0.25 + 0.7
    loss = task.compare(lesson, generator_for(0, 0)).minimised["l1"].detach()
    errors = (damaged - lesson.patches.clean).abs().mean((1, 2, 3))
    fine = image_weights(damaged, lesson.patches.clean, 1.0, fine=True)
    assert torch.isclose(loss, (fine * errors).mean(), rtol=0.05)
    assert loss > 1.5 * (image_weights(damaged, lesson.patches.clean, 1.0) * errors).mean()


def test_windows_grow_at_their_step_and_a_resumed_run_is_the_same(recipe, data, tmp_path):
    growing = replace(recipe, stages=(Stage(2, batch=1, patch=48, view=96),))
    task = RestorerTask(growing, data, perceiver=Shade())
    task.load()
    patches = [task.draw(step, generator_for(0, step)).patches for step in (1, 2)]
    assert [tuple(each.windows[0].damaged.shape) for each in patches] == [(2, 3, 32, 32), (1, 3, 48, 48)]
    assert [each.overview.size for each in patches] == [(64, 64), (96, 96)]
    train(growing, data, tmp_path / "whole")
    for _ in range(6):
        train(growing, data, tmp_path / "parts", resume=True, max_minutes=0)
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


class Waiting(TorchDispatchMode):
    """Counts how often values are asked for, except of tensors known to lie on the processor."""

    def __init__(self, allowed: set[int]) -> None:
        super().__init__()
        self.allowed, self.times = allowed, 0

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        # The second is what a boolean index becomes.
        if operation.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero):
            self.times += arguments[0].data_ptr() not in self.allowed
        return operation(*arguments, **(keywords or {}))


def test_an_update_never_waits_for_a_value(recipe, data):
    task = RestorerTask(recipe, data)
    task.load()
    optimizers = task.optimizers()
    lesson = task.draw(0, generator_for(0, 0))
    update(task, lesson, optimizers, generator_for(0, 0))
    # AdamW keeps its count of steps on the processor, so reading it is no waiting.
    counts = {state["step"].data_ptr() for state in optimizers[1].state.values()}
    with Waiting(counts) as waiting:
        update(task, lesson, optimizers, generator_for(0, 1))
    assert waiting.times == 0
    with Waiting(counts) as waiting:
        float(update(task, lesson, optimizers, generator_for(0, 2))["loss"].detach())
    assert waiting.times == 1


def test_views_of_a_pool_come_again_and_are_perceived_once(recipe, data, tmp_path):
    torch.manual_seed(0)
    cached = CachedPerceiver(load_compact(), tmp_path)
    task = RestorerTask(replace(recipe, pool=2), data, perceiver=cached)
    task.load()
    drawn = [task.draw(step, generator_for(recipe.seed, step)).patches for step in range(5)]
    assert torch.equal(drawn[0].thumbnail, drawn[2].thumbnail)
    assert torch.equal(drawn[0].thumbnail, drawn[4].thumbnail)
    assert not torch.equal(drawn[0].thumbnail, drawn[1].thumbnail)
    assert any(
        not torch.equal(drawn[0].windows[0].damaged, patches.windows[0].damaged)
        for patches in (drawn[2], drawn[4])
    )
    assert cached.misses == 2 * recipe.batch
    assert cached.hits == 3 * recipe.batch


def test_a_network_follows_a_chosen_perceiver_and_refuses_to_follow_the_embedded_one(recipe, data):
    torch.manual_seed(0)
    eyes = EyesConfig(quality_dim=8, content_dim=12, degradation_dim=12, region_count=8)
    task = RestorerTask(recipe, data, perceiver=CompactPerceiver(CompactEyes(eyes)))
    assert (task.network.config.quality_dim, task.network.config.region_count) == (8, 8)
    assert task.settings()["network"]["quality_dim"] == 8
    with pytest.raises(ConfigError, match=r"quality_dim is 9.*'compact' gives 32"):
        RestorerTask(replace(recipe, network=replace(recipe.network, quality_dim=9)), data)


def test_visible_clues_weigh_icrm_by_what_can_be_noticed_in_the_clean_picture(recipe, data):
    terms = {}
    for seen in (False, True):
        task = RestorerTask(replace(recipe, visible_clues=seen), data)
        task.load()
        lesson = task.draw(0, generator_for(0, 0))
        terms[seen] = task.compare(lesson, generator_for(0, 0)).minimised
    assert torch.equal(terms[False]["l1"], terms[True]["l1"])
    assert not torch.equal(terms[False]["icrm"], terms[True]["icrm"])
    weight = visibility(lesson.patches.clean)
    assert weight.std() > 0.1


def test_the_tone_stage_learns_from_pictures_that_the_perceiver_would_not_let_it_change(recipe, data):
    task = RestorerTask(replace(recipe, network=replace(recipe.network, tone=True)), data)
    task.load()
    lesson = task.draw(0, generator_for(0, 0))
    terms = {}
    for share in (0.0, 1.0):
        guidance = replace(lesson.patches.guidance, tone=torch.full((recipe.batch,), share))
        unsure = replace(lesson, patches=replace(lesson.patches, guidance=guidance))
        terms[share] = task.compare(unsure, generator_for(0, 0)).minimised["tone"]
    assert torch.equal(terms[0.0], terms[1.0])
    task.network.zero_grad()
    terms[0.0].backward()
    assert any(
        bool(weight.grad.any()) for weight in task.network.tone.parameters() if weight.grad is not None
    )


def what_learns(recipe: Recipe, data: Path, out: Path) -> set[str]:
    """Names of the weights that a run changes."""
    train(recipe, data, out)
    before, after = RestorerTask(recipe, data).network.state_dict(), weights(out)
    return {name for name in before if not torch.equal(before[name], after[f"network.{name}"])}


def test_only_the_tone_stage_learns_when_it_is_trained_alone(recipe, data, tmp_path):
    toned = replace(recipe, network=replace(recipe.network, tone=True), only_tone=True)
    changed = what_learns(toned, data, tmp_path)
    assert changed
    assert all(name.startswith("tone.") for name in changed)


def test_all_but_the_tone_stage_learns_when_it_is_fixed(recipe, data, tmp_path):
    toned = replace(recipe, network=replace(recipe.network, tone=True), fixed_tone=True)
    changed = what_learns(toned, data, tmp_path)
    assert "reconstruction.weight" in changed
    assert not any(name.startswith("tone.") for name in changed)


@pytest.mark.parametrize(
    ("tone", "settings", "told"),
    [
        (False, {"only_tone": True}, "only_tone"),
        (False, {"fixed_tone": True}, "fixed_tone"),
        (True, {"only_tone": True, "fixed_tone": True}, "nothing to learn"),
    ],
)
def test_a_tone_stage_is_trained_or_fixed_where_there_is_one(recipe, tone, settings, told):
    with pytest.raises(ConfigError, match=told):
        replace(recipe, network=replace(recipe.network, tone=tone), **settings)


def test_the_tone_stage_alone_draws_the_views_of_a_pool_once(recipe, data):
    toned = replace(recipe, network=replace(recipe.network, tone=True), only_tone=True, pool=2)
    task, whole = RestorerTask(toned, data), RestorerTask(replace(toned, only_tone=False), data)
    for each in (task, whole):
        each.load()
    expected = whole.draw(1, generator_for(0, 1)).patches
    first, again = (task.draw(step, generator_for(0, step)).patches for step in (1, 3))
    task.photos = None
    assert task.draw(5, generator_for(0, 5)).patches.kinds == first.kinds
    for drawn in (first, again):
        assert torch.allclose(drawn.overview.thumbnail, expected.overview.thumbnail, atol=1e-3)
        assert torch.allclose(drawn.thumbnail, expected.thumbnail, atol=1e-3)
        assert torch.equal(drawn.guidance.degradation, expected.guidance.degradation)
        assert torch.equal(drawn.overview.thumbnail, first.overview.thumbnail)


def test_photos_that_are_given_are_not_read_again(recipe, data, tmp_path):
    first = RestorerTask(recipe, data)
    first.load()
    second = RestorerTask(recipe, tmp_path / "nowhere", photos=first.photos)
    second.load()
    one, other = (task.draw(3, generator_for(0, 3)).patches.windows[0].damaged for task in (first, second))
    assert torch.equal(one, other)


@pytest.mark.parametrize("native", [True, False])
def test_a_step_computes_as_the_processor_does_best(recipe, data, monkeypatch, native):
    monkeypatch.setattr(precision, "cpu_computes_bf16", lambda: native)
    task = RestorerTask(recipe, data)
    task.load()
    seen = set()
    task.network.extraction.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    generator = generator_for(0, 0)
    values = update(task, task.draw(0, generator), task.optimizers(), generator)
    assert values["loss"].isfinite()
    assert seen == {torch.bfloat16 if native else torch.float32}
