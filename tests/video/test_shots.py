"""Where a shot ends, and one judgement of all that is in it."""

import av
import numpy as np
import pytest
import skimage.data

from clearair.perception.confidence import Caution
from clearair.percepts import Guidance, Percepts
from clearair.video.shots import CutFinder, Gathering, fitted, load_percepts, save_percepts
from tests.video.clips import pictures

NAMES = ("noise", "haze")
CAUTION = Caution()


def frame(pixels):
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")


def begins(frames):
    """Numbers of the frames at which a shot begins."""
    finder = CutFinder()
    return [number for number, pixels in enumerate(frames) if finder.begins(frame(pixels))]


def panned(number, step, source="coffee"):
    photo = getattr(skimage.data, source)()
    return [photo[100:228, 20 + step * at : 212 + step * at] for at in range(number)]


def test_a_cut_is_found_in_noise():
    assert begins([*pictures(6), *pictures(5, source="astronaut"), *pictures(4)]) == [0, 6, 11]


@pytest.mark.parametrize("step", [0, 2, 12])
def test_motion_is_no_cut(step):
    assert begins(panned(12, step)) == [0]


def test_a_cut_is_found_in_motion():
    assert begins([*panned(8, 4), *panned(8, 4, source="astronaut")]) == [0, 8]


def test_a_fade_is_no_cut_and_ends_in_frames_that_show_nothing():
    photo = pictures(1, noise=0)[0].astype(float)
    finder = CutFinder()
    found = [finder.begins(frame((photo * share).astype(np.uint8))) for share in np.linspace(1, 0, 20)]
    assert found == [True] + [False] * 19
    assert finder.is_flat
    assert not finder.begins(frame((photo * 0.05).astype(np.uint8)))


def test_one_frame_is_one_shot():
    assert begins(pictures(1)) == [0]


def percepts(seed, *, regions=2):
    drawn = np.random.default_rng(seed)
    probabilities = drawn.random(2, np.float32)
    local = drawn.random((regions, 3), np.float32)
    shares = CAUTION.shares(probabilities[None], NAMES)
    labels = (np.arange(24) % regions).astype(np.uint8).reshape(1, 4, 6)
    unit = [drawn.random((1, 3), np.float32) for _ in range(3)]
    guidance = Guidance(unit[0], labels, unit[1], unit[2], local[None], *vars(shares).values())
    levels = drawn.random(5, np.float32)
    return Percepts(float(drawn.random()), levels, guidance, NAMES, probabilities, drawn.random((regions, 2)))


def gathered(seeds):
    gathering = Gathering()
    for seed in seeds:
        gathering.add(percepts(seed))
    return gathering


def test_the_mean_is_that_of_all_frames():
    each = [percepts(seed) for seed in range(5)]
    mean = gathered(range(5)).mean(CAUTION)
    assert mean.score == pytest.approx(np.mean([one.score for one in each]))
    assert mean.probabilities == pytest.approx(np.mean([one.probabilities for one in each], axis=0))
    assert mean.guidance.quality == pytest.approx(np.mean([one.guidance.quality for one in each], axis=0))
    assert np.linalg.norm(mean.guidance.content, axis=1) == pytest.approx([1], abs=1e-5)
    expected = CAUTION.shares(mean.probabilities[None], NAMES)
    assert mean.guidance.change == pytest.approx(expected.change)


def test_the_mean_has_one_region_as_large_as_any_frame():
    mean = fitted(gathered(range(3)).mean(CAUTION), 5, 7)
    assert mean.labels.shape == (5, 7)
    assert len(np.unique(mean.labels)) == 1
    assert mean.guidance.regions == 2
    assert (mean.guidance.local_degradation[:, :1] == mean.guidance.local_degradation).all()


def test_what_was_gathered_does_not_depend_on_a_break(tmp_path):
    first = gathered(range(4))
    first.save(tmp_path / "look.npz", 7)
    shot, again = Gathering.load(tmp_path / "look.npz")
    again.add(percepts(4))
    assert (shot, again.count) == (7, 5)
    save_percepts(gathered(range(5)).mean(CAUTION), tmp_path / "one.npz")
    save_percepts(again.mean(CAUTION), tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_percepts_come_back_as_they_were_saved(tmp_path):
    mean = gathered(range(3)).mean(CAUTION)
    save_percepts(mean, tmp_path / "shot.npz")
    again = load_percepts(tmp_path / "shot.npz")
    assert (again.score, again.names) == (mean.score, mean.names)
    assert np.array_equal(again.probabilities, mean.probabilities)
    for name, value in vars(mean.guidance).items():
        assert np.array_equal(getattr(again.guidance, name), value), name
