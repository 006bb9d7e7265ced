import pytest
import torch

from clearair.errors import ConfigError
from clearair.network import Guidance


def fields(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "quality": torch.zeros(2, 4),
        "labels": torch.zeros(2, 3, 5, dtype=torch.uint8),
        "content": torch.zeros(2, 6),
        "degradation": torch.zeros(2, 5),
        "local_degradation": torch.zeros(2, 4, 5),
        "tone": torch.zeros(2),
        "change": torch.zeros(2),
        "coarse": torch.zeros(2),
        **changes,
    }


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("quality", (1, 4)),
        ("quality", (2, 4, 1)),
        ("labels", (2, 1, 3, 5)),
        ("content", (2,)),
        ("degradation", (3, 5)),
        ("local_degradation", (2, 5)),
        ("tone", (2, 1)),
        ("change", (3,)),
        ("coarse", (2, 1)),
    ],
)
def test_a_field_of_a_wrong_shape_is_named(name, shape):
    with pytest.raises(ConfigError, match=f"Guidance.{name} "):
        Guidance(**fields(**{name: torch.zeros(shape)}))


def test_local_and_global_embeddings_are_of_one_size():
    with pytest.raises(ConfigError, match="7 entries, the global one 5"):
        Guidance(**fields(local_degradation=torch.zeros(2, 4, 7)))


def test_regions_counts_the_background():
    assert Guidance(**fields()).regions == 4


def random_guidance(batch: int) -> Guidance:
    return Guidance(**{name: torch.rand(batch, *value.shape[1:]) for name, value in fields().items()})


def test_a_window_crops_the_label_map_only():
    whole = random_guidance(batch=1)
    window = whole.window(1, 2, 2, 3)
    assert torch.equal(window.labels, whole.labels[:, 1:3, 2:5])
    assert window.local_degradation is whole.local_degradation
    assert window.quality is whole.quality


def test_judgements_are_handed_on_together():
    batch = random_guidance(batch=3)
    handed = batch.permuted(torch.tensor([2, 0, 1]))
    for name in fields():
        assert torch.equal(getattr(handed, name)[0], getattr(batch, name)[2])
