import pytest
import torch
from torch import nn

from clearair.finishing import FinishedNetwork
from clearair.network import TINY
from clearair.training.loop.optimizer import Muon, make_optimizers, orthogonalised


@pytest.mark.parametrize("shape", [(8, 8), (4, 20), (1, 5)])
def test_the_update_is_nearly_orthogonal(shape):
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrices))
    assert values.min() > 0.7
    assert values.max() < 1.25


def test_singular_values_come_near_to_one_however_unequal_they_are():
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(40, 40, generator=generator)).Q for _ in range(2))
    spread = torch.logspace(0, -2, 40)
    assert float(spread[-1] / spread.norm()) > 0.003
    matrix = left @ torch.diag(spread) @ right
    values = torch.linalg.svdvals(orthogonalised(matrix[None])[0])
    assert values.max() < 1.25
    assert values.min() > 0.7
    alone = left[:, :1] @ right[:1]  # rank one: nothing but noise beside the one value
    assert 0.7 < float(torch.linalg.svdvals(orthogonalised(alone[None])[0])[0]) < 1.25


def test_weights_of_one_shape_do_not_touch_each_other():
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 6), (6, 4), (4, 6), (6, 2, 2, 1), (4, 4)]
    gradients = [torch.randn(shape, generator=generator) for shape in shapes]

    def stepped(chosen):
        weights = [nn.Parameter(torch.zeros(shapes[index])) for index in chosen]
        for weight, index in zip(weights, chosen, strict=True):
            weight.grad = gradients[index].clone()
        Muon(weights, lr=0.1, weight_decay=0.0).step()
        return weights

    together = stepped(range(len(shapes)))
    for index, weight in enumerate(together):
        (alone,) = stepped([index])
        assert torch.allclose(weight, alone, atol=1e-3)
        # It goes downhill.
        assert (weight * gradients[index]).sum() < 0


def test_every_parameter_is_optimised_once():
    network = FinishedNetwork(TINY)
    optimizers = make_optimizers(network, 1e-3, 0.01)
    held = [id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in network.parameters())


def test_adamw_alone_holds_everything_with_the_betas_of_the_paper():
    network = FinishedNetwork(TINY)
    (adamw,) = make_optimizers(network, 2e-4, 0.01, "adamw")
    assert isinstance(adamw, torch.optim.AdamW)
    (group,) = adamw.param_groups
    assert group["betas"] == (0.9, 0.999)
    assert [id(p) for p in group["params"]] == [id(p) for p in network.parameters()]


def test_depthwise_kernels_are_not_balanced_as_matrices():
    conv = nn.Conv2d(6, 6, 3, groups=6, bias=False)
    (adamw,) = make_optimizers(conv, 1e-3, 0.0)
    assert isinstance(adamw, torch.optim.AdamW)
    assert adamw.param_groups[0]["params"] == [conv.weight]


def test_muon_solves_a_least_squares_problem():
    generator = torch.Generator().manual_seed(0)
    target, inputs = torch.randn(6, 6, generator=generator), torch.randn(64, 6, generator=generator)
    weight = nn.Parameter(torch.zeros(6, 6))
    optimizer = Muon([weight], lr=0.1, weight_decay=0.0)
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 200)
        optimizer.zero_grad()
        (inputs @ (weight - target)).square().mean().backward()
        optimizer.step()
    assert (weight - target).abs().max() < 0.05
