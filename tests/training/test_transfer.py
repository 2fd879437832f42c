"""What a landmark network starts from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from asmnet.errors import InvalidInputError  # noqa: E402
from asmnet.image import load_image  # noqa: E402
from asmnet.session import OnnxSession  # noqa: E402
from asmnet.training.config import read_config  # noqa: E402
from asmnet.training.loop import images_to_input  # noqa: E402
from asmnet.training.nets.blocks import InvertedResidual  # noqa: E402
from asmnet.training.nets.build import network  # noqa: E402
from asmnet.training.nets.landmark_net import LandmarkNet  # noqa: E402
from asmnet.training.transfer import exported_weights, start_from, start_weights  # noqa: E402
from asmnet.weights import load_weights  # noqa: E402

CONFIGS = Path(__file__).parents[2] / "configs"
LITE = "asmnet-68-lite"
CONFIG = CONFIGS / f"{LITE}.toml"


@pytest.fixture(scope="module")
def crops(photos) -> np.ndarray:
    image = load_image(photos / "astronaut.png")
    return np.stack([image[60 + i : 172 + i, 165 + i : 277 + i] for i in range(8)])


@pytest.mark.parametrize("name", [LITE, "asmnet-98"])  # whose images and kernels are scaled
def test_an_exported_network_can_be_trained_further(crops, name):
    """It computes what the file does; batch statistics, as in training, change little."""
    config = read_config(CONFIGS / f"{name}.toml")
    size = config.size
    crops = crops[:, :size, :size]
    images = images_to_input(torch.from_numpy(crops))
    weights = exported_weights(load_weights(name), network(config), images)
    model = network(config)
    model.load_state_dict(weights)
    session = OnnxSession(name, threads=1, providers=None)
    expected = dict(zip(session.output_names, session.run(crops), strict=True))
    with torch.inference_mode():
        points, rotation, _ = model.eval()(images)
        assert np.abs(rotation.numpy() - expected["rotation"]).max() < 1e-3
        # All but the correction of the points, which is no part of the network.
        assert np.abs(size * points.numpy() - expected["landmarks"]).mean() < 1.5
        trained = model.train()(images)[0]
        assert (trained - points).abs().max() * size < 2


def test_a_file_of_another_network_is_refused(crops):
    with pytest.raises(InvalidInputError, match=r"expected a file with the convolutions \[\(16, 3"):
        exported_weights(
            load_weights(LITE),
            LandmarkNet(68, 112, 0.0),
            images_to_input(torch.from_numpy(crops)),
        )


def test_a_config_names_a_file_and_the_layers_to_take(crops):
    class Crops(torch.utils.data.Dataset):
        epoch, size = 0, 112

        def __len__(self) -> int:
            return len(crops)

        def __getitem__(self, index: int):
            return (torch.from_numpy(crops[index, : self.size, : self.size]),)

    start = replace(read_config(CONFIG), start=LITE, start_config=str(CONFIG))
    everything = start_weights(start, Crops())
    assert everything.keys() == network(read_config(CONFIG)).state_dict().keys()
    part = start_weights(replace(start, start_layers=("stem", "stage")), Crops())
    assert {name.split(".")[0] for name in part} == {"stem", "stage4", "stage8", "stage16"}
    assert all(torch.equal(value, everything[name]) for name, value in part.items())
    Crops.size = 96
    smaller = start_weights(replace(start, size=96), Crops())
    assert torch.equal(smaller["stage8.0.body.0.0.weight"], part["stage8.0.body.0.0.weight"])


def test_a_narrow_bottleneck_starts_from_the_channels_that_matter():
    """Where half of the hidden channels are constant, the narrow block computes the same."""
    torch.manual_seed(0)
    wide, narrow = (torch.nn.Sequential(InvertedResidual(8, 8, 1, e)) for e in (4, 2))
    constant = torch.arange(0, 32, 2)
    depthwise = wide[0].body[2][1]
    depthwise.weight.data[constant] = 0
    depthwise.bias.data[constant] = 0.3
    wide[0].body[4][0].weight.data[:, constant] *= 0.01
    start_from(narrow, wide.state_dict())
    x = torch.rand(2, 8, 6, 6)
    with torch.inference_mode():
        assert torch.allclose(narrow.eval()(x), wide.eval()(x), atol=1e-5)
