import pytest
import torch

from clearair.data.validation import ValidationSet
from clearair.evaluation.validation import Score, mean_score, psnr_each, validate
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
        )


def brightened(count=5, by=0.2):
    clean = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.5
    clean = (clean * 255).round() / 255
    damaged = ((clean + by) * 255).round() / 255
    return ValidationSet("bright", damaged, clean, tuple("abcde"))


def test_doing_nothing_scores_what_came_in():
    scores = validate(lambda image, guidance: image, Blind(), [brightened()], batch=2)
    assert scores["bright"].psnr == pytest.approx(scores["bright"].input_psnr)
    assert scores["bright"].input_psnr == pytest.approx(13.98, abs=0.01)


def test_each_image_meets_its_own_guidance_and_is_rounded_and_clipped_as_in_a_file():
    views = brightened()

    def network(image, guidance):
        assert torch.allclose(image.mean(dim=(1, 2, 3)), guidance.quality[:, 0])
        return image - 0.2 + 0.001

    assert validate(network, Blind(), [views], batch=2)["bright"].psnr == 100


def test_the_mean_counts_each_kind_the_same_and_no_clean_pictures():
    scores = {"noise": Score(20, 30), "haze": Score(10, 20), "clean": Score(100, 50)}
    assert mean_score(scores) == Score(15, 25)
    assert mean_score(scores).gain == 10


def test_psnr_is_of_each_image():
    images = torch.zeros(2, 3, 4, 4)
    images[1] += 0.1
    assert psnr_each(images, torch.zeros(2, 3, 4, 4)).tolist() == pytest.approx([100, 20])
