import pytest
import torch

from clearair.data.degradations.stages import Conditions, Stage, in_order, module_of
from clearair.kinds import NAMES


def test_damage_follows_the_light_from_the_scene_to_the_file():
    names = [name for name, _ in in_order()]
    assert names == [
        *("lowlight", "haze", "rain", "snow", "lowlight"),  # the scene, the air, the exposure
        *("raindrop", "blur", "lowlight", "noise", "jpeg"),  # the lens, the sensor, its values, the file
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_module_draws_one_step_for_each_of_its_stages(name):
    module, pictures = module_of(name), torch.rand(2, 3, 48, 64)
    steps = module.draw(pictures, torch.tensor([0.2, 0.8]), Conditions(torch.Generator().manual_seed(0)))
    assert len(steps) == len(module.STAGES) == len(set(module.STAGES))
    assert list(module.STAGES) == sorted(module.STAGES)
    assert set(module.STAGES) <= set(Stage)
    for step in steps:
        assert torch.equal(step(pictures), step(pictures))
        assert step(pictures).shape == pictures.shape
