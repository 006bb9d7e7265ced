import pytest
import torch

from clearair.network.quality import QualityAdapter, QualityGuidance


def test_it_starts_as_the_identity():
    x = torch.randn(2, 4, 3, 5)
    assert torch.equal(QualityGuidance(4, 6)(x, torch.randn(2, 6)), x)


def test_one_scale_and_one_shift_for_each_channel():
    module = QualityGuidance(2, 1)
    with torch.no_grad():
        module.to_scale.weight.copy_(torch.tensor([[1.0], [0.0]]))
        module.to_shift.weight.copy_(torch.tensor([[0.0], [10.0]]))
    x = torch.tensor([2.0, 3.0]).reshape(1, 2, 1, 1)
    # Scales 1 + 4 and 1, shifts 0 and 40.
    assert module(x, torch.tensor([[4.0]])).flatten().tolist() == pytest.approx([10, 43])


def test_the_adapter_ignores_the_length_of_the_embedding():
    adapter, quality = QualityAdapter(6, 3), torch.randn(2, 6)
    assert adapter(quality).shape == (2, 3)
    assert torch.allclose(adapter(quality), adapter(100 * quality), atol=1e-4)
