import numpy as np
import pytest
import torch

from clearair.data.validation import ValidationSet
from clearair.errors import DataError, UsageError
from clearair.evaluation.held_out import HeldOutViews
from clearair.evaluation.validation import Score, mean_score, named_sets, psnr_of_views
from clearair.image import Photo, write_photo
from clearair.network import Guidance


class Blind:
    """Says of each image how bright it is, and nothing else."""

    def perceive(self, images):
        batch, _, height, width = images.shape
        return Guidance(
            quality=images.mean(dim=(1, 2, 3))[:, None],
            labels=torch.zeros(batch, height, width, dtype=torch.uint8),
            content=images.new_zeros(batch, 2),
            degradation=images.new_zeros(batch, 3),
            local_degradation=images.new_zeros(batch, 4, 3),
            tone=images.new_zeros(batch),
            change=images.new_ones(batch),
            coarse=images.new_ones(batch),
        )


def brightened(count=5, by=0.2):
    clean = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.5
    clean = (clean * 255).round() / 255
    damaged = ((clean + by) * 255).round() / 255
    return ValidationSet("bright", damaged, clean, tuple("abcde"))


def test_doing_nothing_scores_what_came_in():
    scores = HeldOutViews(Blind(), [brightened()], batch=2).validate(lambda image, guidance: image).scores
    assert scores["bright"].psnr == pytest.approx(scores["bright"].input_psnr)
    assert scores["bright"].input_psnr == pytest.approx(13.98, abs=0.01)


def test_each_image_meets_its_own_guidance_and_is_rounded_and_clipped_as_in_a_file():
    views = brightened()

    def network(image, guidance):
        assert torch.allclose(image.mean(dim=(1, 2, 3)), guidance.quality[:, 0])
        return image - 0.2 + 0.001

    assert HeldOutViews(Blind(), [views], batch=2).validate(network).scores["bright"].psnr == 100


def test_the_mean_counts_each_kind_the_same_and_no_clean_pictures():
    scores = {"noise": Score(20, 30), "haze": Score(10, 20), "clean": Score(100, 50)}
    assert mean_score(scores) == Score(15, 25)
    assert mean_score(scores).gain == 10


def test_psnr_is_of_each_image():
    images = torch.zeros(2, 3, 4, 4)
    images[1] += 0.1
    assert psnr_of_views(images, torch.zeros(2, 3, 4, 4)).tolist() == pytest.approx([100, 20])


def test_the_middle_of_benchmark_images_and_views_are_taken_by_name(tmp_path):
    for side in ("input", "target"):
        for index in range(3):
            path = tmp_path / "test" / "Rain100L" / side / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.zeros((40, 60, 3), np.uint8)
            pixels[12:28, 22:38] = 50 * index + 100
            write_photo(Photo(pixels), path)
    (views,) = named_sets(tmp_path, ["Rain100L"], every=2, side=16)
    assert views.names == ("0", "2")
    assert (views.damaged * 255).round().unique().tolist() == [100, 200]
    with pytest.raises(DataError, match="60 x 40"):
        named_sets(tmp_path, ["Rain100L"], side=50)
    with pytest.raises(UsageError, match="Rain100"):
        named_sets(tmp_path, ["Rain100"])
