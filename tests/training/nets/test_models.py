"""The networks of the papers: their sizes, and what their parts do."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from asmnet.errors import InvalidInputError  # noqa: E402
from asmnet.schemes import WFLW_98, WFLW_TO_IBUG  # noqa: E402
from asmnet.training.cli import main  # noqa: E402
from asmnet.training.config import read_config  # noqa: E402
from asmnet.training.export.correction import CorrectedLandmarks, principal_components  # noqa: E402
from asmnet.training.nets.asmnet import ASMNet  # noqa: E402
from asmnet.training.nets.atpn import ATPN, draw_heatmap  # noqa: E402
from asmnet.training.nets.blocks import InvertedResidual, conv_bn  # noqa: E402
from asmnet.training.nets.build import network  # noqa: E402
from asmnet.training.nets.count import count_multiply_adds, count_parameters  # noqa: E402
from asmnet.training.nets.heads import HEADS, MapHead, PixelInPixelHead, SimCCHead  # noqa: E402
from asmnet.training.nets.landmark_net import LandmarkNet  # noqa: E402
from asmnet.training.nets.mobilenet_v2 import MobileNetV2  # noqa: E402
from asmnet.training.transfer import start_from  # noqa: E402

MEAN = torch.full((68, 2), 0.5)
PAPER = Path(__file__).parents[3] / "configs" / "paper"


@pytest.mark.parametrize(
    ("model", "parameters", "gflops"),
    # Fard et al. 2021, table 1; its FLOPs are twice the multiply-adds.
    [(ASMNet, 1.43e6, 0.51), (MobileNetV2, 2.42e6, 0.60)],
)
def test_counts_of_the_paper(model, parameters, gflops):
    net = model(MEAN, dropout=0.3)
    assert count_parameters(net) == pytest.approx(parameters, rel=0.02)
    assert 2 * count_multiply_adds(net, 224) / 1e9 == pytest.approx(gflops, rel=0.01)


def test_multiply_adds_of_a_layer_written_out():
    # 3 × 3 kernel of 4 in 8 channels to 16 at 5 × 5 places, in 2 groups.
    layer = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), conv_bn(8, 16, 3, 2, groups=2))
    assert count_multiply_adds(layer, 10) == 100 * 3 * 8 + 25 * 16 * 4 * 9


def test_asmnet_reads_six_taps():
    model = ASMNet(MEAN, dropout=0.3)
    assert model.landmark_head.in_features == 24 + 32 + 64 + 96 + 160 + 160
    assert model.dropout.p == 0.3


def test_atpn_is_light():
    model = ATPN(MEAN, 112, dropout=0.1)
    assert count_parameters(model) < 0.8e6
    assert count_multiply_adds(model, 112) < 45e6


def test_atpn_s_pose_and_presence_do_not_move_the_points():
    torch.manual_seed(0)
    model = ATPN(MEAN, 64, dropout=0.0).eval()
    landmarks, rotation, presence = model(torch.rand(2, 3, 64, 64))
    assert (landmarks.shape, rotation.shape, presence.shape) == ((2, 68, 2), (2, 3, 3), (2,))
    (rotation.sum() + presence.sum()).backward()
    assert model.landmark_head.weight.grad is None
    assert model.geometry[0][0].weight.grad.abs().max() > 0


def test_atpn_s_shortcut_reaches_the_points():
    torch.manual_seed(0)
    model = ATPN(MEAN, 64, dropout=0.0).eval()
    model(torch.rand(2, 3, 64, 64))[0].sum().backward()
    assert model.shortcut[0][0][0].weight.grad.abs().max() > 0


def test_heatmap_of_one_point():
    """At the centre of cell (row 1, column 2) of 4: 1 there, e^(-1/2σ²) beside it."""
    heat = draw_heatmap(torch.tensor([[[2.5 / 4, 1.5 / 4]]]), 4, 0.75)
    assert heat.shape == (1, 1, 4, 4)
    assert heat[0, 0, 1, 2].item() == pytest.approx(1)
    assert heat[0, 0, 1, 1].item() == pytest.approx(0.4111, abs=1e-4)
    assert heat[0, 0, 2, 3].item() == pytest.approx(0.4111**2, abs=1e-4)
    crowd = draw_heatmap(torch.full((1, 68, 2), 0.5), 4, 0.75)
    assert crowd.max().item() == 1


@pytest.mark.parametrize("points", [68, 98])
def test_the_quick_trunk_is_small(points):
    quick, wide = LandmarkNet(points, 96, 0.0, trunk="quick"), LandmarkNet(points, 112, 0.0)
    assert count_parameters(quick) < count_parameters(wide) < 0.6e6
    assert count_multiply_adds(quick, 96) < 0.65 * count_multiply_adds(wide, 112)
    # ONNX Runtime is quick at depthwise convolutions of whole blocks of 16 channels.
    blocks = [m for m in quick.modules() if isinstance(m, InvertedResidual)]
    assert {block.body[0][0].out_channels % 16 for block in blocks} == {0}


@pytest.mark.parametrize("head", HEADS)
def test_every_head_reads_points_that_its_trunk_moves(head):
    torch.manual_seed(0)
    model = LandmarkNet(68, 112, 0.0, width=0.5, head=head).eval()
    landmarks, rotation, spread = model(torch.rand(2, 3, 112, 112))
    assert (landmarks.shape, rotation.shape, spread.shape) == ((2, 68, 2), (2, 3, 3), (2, 68))
    assert ((landmarks > 0.3) & (landmarks < 0.7)).all()  # untrained: about the middle
    assert (spread > 0).all()
    landmarks.sum().backward()
    assert model.stem[0][0].weight.grad.abs().max() > 0


@pytest.mark.parametrize("head", [MapHead, PixelInPixelHead])
def test_a_map_s_peak_is_its_point(head):
    """A peak in the cell of row 1, column 2 of 4 lies at (2.5, 1.5) / 4; without offsets."""
    maps = head(1, 1, 4)
    torch.nn.init.zeros_(maps.maps.weight)
    torch.nn.init.zeros_(maps.maps.bias)
    maps.maps.weight.data[0] = 1
    features = torch.zeros(1, 1, 4, 4)
    landmarks, even = maps(features)
    assert landmarks[0, 0].tolist() == pytest.approx([0.5, 0.5])
    features[0, 0, 1, 2] = 50
    landmarks, sharp = maps(features)
    assert landmarks[0, 0].tolist() == pytest.approx([2.5 / 4, 1.5 / 4])
    # Variance of four even places a quarter apart: 5/64 an axis.
    assert even.item() == pytest.approx((2 * 5 / 64) ** 0.5)
    assert sharp.item() == pytest.approx(1e-3, abs=1e-5)


def test_68_points_start_where_98_are():
    torch.manual_seed(0)
    wide = LandmarkNet(98, 112, 0.0, width=0.5)
    torch.nn.init.normal_(wide.head.maps.bias)
    narrow = LandmarkNet(68, 112, 0.0, width=0.5)
    start_from(narrow, wide.state_dict())
    for name in ("weight", "bias"):
        old, new = (getattr(net.head.maps, name) for net in (wide, narrow))
        assert torch.allclose(new[1], old[2])  # the contour has every second point
        assert torch.allclose(new[37], (2 * old[61] + old[62]) / 3)  # WFLW's own mapping
    # The pose's layer sees in 68 points what it saw in 98 that mean the same face.
    shape68, pooled = torch.randn(68, 2), torch.randn(wide.pose_hidden.in_features - 2 * 98)
    shape98 = torch.linalg.pinv(torch.from_numpy(WFLW_TO_IBUG).float()) @ shape68
    for pupil, eye in (("right_pupil", "right_eye"), ("left_pupil", "left_eye")):
        shape98[WFLW_98.groups[pupil]] = shape98[WFLW_98.groups[eye]].mean(dim=0)
    hidden = [
        net.pose_hidden(torch.cat([pooled, shape.flatten()]))
        for net, shape in ((wide, shape98), (narrow, shape68))
    ]
    assert torch.allclose(*hidden, atol=1e-5)
    assert (narrow.pose_head.weight == wide.pose_head.weight).all()


def test_a_correction_moves_points_by_the_shape():
    """A tenth of the shape about its centre, and a shift: written out."""
    torch.manual_seed(0)
    net = LandmarkNet(68, 112, 0.0, width=0.5).eval()
    torch.nn.init.normal_(net.head.maps.weight)
    offset = np.tile([0.01, -0.02], 68)
    fixed = CorrectedLandmarks(net, 0.1 * np.eye(136), offset).eval()
    crops = torch.rand(2, 3, 112, 112)
    (before, *others), (after, *same) = net(crops), fixed(crops)
    centre = before.mean(dim=1, keepdim=True)
    expected = before + 0.1 * (before - centre) + torch.tensor([0.01, -0.02])
    assert torch.allclose(after, expected, atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(others, same, strict=True))
    assert fixed.EXTRAS == ("spread",)


def test_a_correction_moves_points_by_the_deepest_map_too():
    """One component, the first channel of the deepest map: its top left cell moves the first x."""
    torch.manual_seed(0)
    net = LandmarkNet(68, 112, 0.0, width=0.5, head="simcc").eval()
    components = np.zeros((1, 64))
    components[0, 0] = 1
    matrix = np.zeros((136 + 49, 136))
    matrix[136, 0] = 0.5
    fixed = CorrectedLandmarks(net, matrix, np.zeros(136), components).eval()
    crops = torch.rand(2, 3, 112, 112)
    moved = fixed(crops)[0] - net(crops)[0]
    assert torch.allclose(moved[:, 0, 0], 0.5 * net.features(crops)[2][:, 0, 0, 0], atol=1e-6)
    moved[:, 0, 0] = 0
    assert moved.abs().max() == 0


def test_principal_components_have_a_variance_of_one():
    rng = np.random.default_rng(0)
    maps = np.einsum("kc,nkhw->nchw", rng.normal(size=(3, 8)), rng.normal(size=(20, 3, 7, 7)))
    cells = np.einsum("kc,nchw->nkhw", principal_components(maps, 3), maps)
    assert np.cov(cells.transpose(1, 0, 2, 3).reshape(3, -1)) == pytest.approx(np.eye(3), abs=1e-9)


def test_a_network_starts_from_a_smaller_one_s_layers():
    torch.manual_seed(0)
    asmnet, whole = ASMNet(MEAN, dropout=0.0), MobileNetV2(MEAN, dropout=0.0)
    head = whole.landmark_head.weight.clone()
    start_from(whole, asmnet.state_dict())
    last = asmnet.blocks[-1].body[-1][0].weight
    assert (whole.blocks[len(asmnet.blocks) - 1].body[-1][0].weight == last).all()
    assert (whole.landmark_head.weight == head).all()


def test_simcc_reads_a_point_off_its_rows_and_columns():
    """One bin of 224 has all the weight: its middle is the point, and nothing is spread."""
    head = SimCCHead(1, 1, 7)
    for axis, place in zip(head.axes, (50, 100), strict=True):
        torch.nn.init.zeros_(axis.weight)
        torch.nn.init.zeros_(axis.bias)
        axis.bias.data[place] = 50
    landmarks, spread = head(torch.rand(1, 1, 7, 7))
    assert landmarks[0, 0].tolist() == pytest.approx([50.5 / 224, 100.5 / 224])
    assert spread.item() == pytest.approx(1e-3, abs=1e-5)


def test_a_wrong_size_is_named():
    with pytest.raises(InvalidInputError, match="size: expected a multiple of 16, got 100"):
        ATPN(MEAN, 100, dropout=0.0)


def test_count_prints_a_row_a_config(capsys):
    folders = (PAPER, PAPER.parent / "ablation")
    configs = sorted(str(path) for folder in folders for path in folder.glob("*.toml"))
    assert main(["count", *configs, str(PAPER.parent / "asmnet-face.toml")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(configs) + 1
    assert "| asmnet-224 | 224 × 224 | 1,414,046 | 256,497,424 |" in lines
    assert any(line.startswith("| asmnet-face | 320 × 320 |") for line in lines)


def test_every_config_names_a_network():
    for path in PAPER.parent.rglob("*.toml"):
        assert count_parameters(network(read_config(path))) > 5e4
