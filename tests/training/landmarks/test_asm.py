"""The Active Shape Model and the ASM-assisted loss, against numbers worked out by hand."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from asmnet.errors import InvalidInputError  # noqa: E402
from asmnet.training.cli import main  # noqa: E402
from asmnet.training.landmarks import losses  # noqa: E402
from asmnet.training.landmarks.asm import ActiveShapeModel  # noqa: E402
from asmnet.training.nets.blocks import LandmarkModel  # noqa: E402


def moved(shape, angle, scale, shift):
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return shape @ np.array([[cos, sin], [-sin, cos]]) + shift


@pytest.fixture
def kites():
    """Shapes of four points of which one slides along its axis, each turned, scaled and moved."""
    rng = np.random.default_rng(0)
    plain = np.tile([[0.0, -1], [1, 0], [0, 1], [-1, 0]], (60, 1, 1))
    plain[:, 0, 1] -= rng.uniform(-0.3, 0.3, 60)
    return np.array(
        [
            moved(s, rng.uniform(-0.5, 0.5), rng.uniform(0.5, 5), rng.uniform(-9, 9, 2))
            for s in plain
        ]
    )


def test_alignment_leaves_the_form_alone(kites):
    aligned = ActiveShapeModel.fit(kites, 0.99, aligned=True)
    assert aligned.aligned
    assert len(aligned.variances) == 1  # the one way in which the kites differ
    raw = ActiveShapeModel.fit(kites, 0.99)
    assert len(raw.variances) > 2  # size and place come first
    assert np.linalg.norm(aligned.mean) == pytest.approx(1, abs=0.01)
    assert aligned.mean.reshape(4, 2).mean(axis=0) == pytest.approx([0, 0])


def test_an_aligned_model_gives_shapes_back_where_they_lie(kites):
    model = ActiveShapeModel.fit(kites, 0.999, aligned=True)
    # To the second order: the tangent space of the mean is flat, Kendall's is not.
    assert model.project(kites) == pytest.approx(kites, abs=0.02 * np.ptp(kites, axis=1).max())
    rng = np.random.default_rng(1)
    noisy = kites + rng.normal(0, 0.02, kites.shape) * kites.std(axis=(1, 2), keepdims=True)
    turned = np.array([moved(s, 1.0, 3.0, [5, -2]) for s in noisy])
    expected = np.array([moved(s, 1.0, 3.0, [5, -2]) for s in model.project(noisy)])
    assert model.project(turned) == pytest.approx(expected)  # it commutes with a crop


def test_kept_modes_are_those_of_a_fit_with_that_variance():
    shapes = np.random.default_rng(0).normal(size=(50, 4, 2)) * np.array([5.0, 1.0])
    whole, part = (ActiveShapeModel.fit(shapes, kept) for kept in (1.0, 0.8))
    kept = whole.keep(0.8)
    assert np.array_equal(kept.variances, part.variances)
    assert kept.project(shapes) == pytest.approx(part.project(shapes))
    assert kept.variances.sum() >= 0.8 * whole.variances.sum()
    assert kept.variances[:-1].sum() < 0.8 * whole.variances.sum()


@pytest.mark.parametrize("aligned", [False, True])
def test_saved_and_loaded(tmp_path, kites, aligned):
    model = ActiveShapeModel.fit(kites, 0.95, aligned=aligned)
    model.save(tmp_path / "any.name")
    loaded = ActiveShapeModel.load(tmp_path / "any.name")
    assert loaded.aligned is aligned
    assert np.array_equal(loaded.project(kites), model.project(kites))


def test_the_paper_s_loss_of_one_face():
    """Two points: 3 and 4 pixels off the first label (25), and on the second; smoothed 1 further.

    L_mse = (25 + 0) / 2; L_asm = (16 + 16 + 0 + 1) / 2; the sum has α = 2.
    """
    to_labels = torch.tensor([[[3.0, 4.0], [0.0, 0.0]]])
    to_shape = torch.tensor([[[4.0, 4.0], [0.0, 1.0]]])
    loss = losses.asm_assisted(to_labels, to_shape, 2.0, "square")
    assert loss.tolist() == pytest.approx([12.5 + 2 * 16.5])
    assert losses.asm_assisted(to_labels, to_shape, 0.0, "square").tolist() == [12.5]
    wing = losses.asm_assisted(to_labels, to_shape, 2.0, "wing")
    terms = [[10 * np.log1p(e / 2) for e in errors] for errors in ((3, 4, 0, 0), (4, 4, 0, 1))]
    assert wing.tolist() == pytest.approx([(np.mean(terms[0]) + 2 * np.mean(terms[1])) / 3])
    with pytest.raises(InvalidInputError, match="point_loss: expected wing or square, got 'l1'"):
        losses.asm_assisted(to_labels, to_shape, 2.0, "l1")


class Constant(LandmarkModel):
    """All points in the middle, the frontal pose, and a face everywhere."""

    EXTRAS = ("presence",)

    def forward(self, images):
        count = len(images)
        return torch.full((count, 68, 2), 0.5), torch.eye(3).repeat(count, 1, 1), torch.zeros(count)


def batch():
    """A face 10 pixels of 100 off in x and turned by 60°; one without points; and no face."""
    images = torch.zeros(3, 100, 100, 3, dtype=torch.uint8)
    points = torch.full((3, 68, 2), 0.5)
    points[0, :, 0] += 0.1
    points[1:] = 9.0
    smoothed = points.clone()
    smoothed[0, :, 0] += 0.1
    turned = torch.tensor([[0.5, 0, 3**0.5 / 2], [0, 1, 0], [-(3**0.5) / 2, 0, 0.5]])
    rotation = torch.stack([turned, torch.eye(3), turned])
    labelled, present = torch.tensor([1.0, 0, 0]), torch.tensor([1.0, 1, 0])
    return images, points, smoothed, labelled, rotation, present


@pytest.mark.parametrize(
    ("progress", "alpha"), [(0.0, 2), (0.33, 2), (0.34, 1), (0.66, 1), (0.67, 0.5), (1.0, 0.5)]
)
def test_the_weight_of_the_smoothed_target_falls_by_thirds(progress, alpha):
    parts = losses.landmark_losses(
        Constant(), batch(), progress, alphas=[2.0, 1.0, 0.5], pose_weight=3.0, point_loss="square"
    )
    assert parts["points"].item() == pytest.approx(100 + alpha * 400, rel=1e-4)
    assert parts["pose"].item() == pytest.approx(3 * (np.pi / 3 + 0.0141) / 2, abs=0.01)
    assert parts["presence"].item() == pytest.approx(np.log(2))


@pytest.mark.parametrize("alphas", [[], [0], [0.0, 0.0]])
def test_no_alphas_mean_no_asm_term(alphas):
    parts = losses.landmark_losses(
        Constant(), batch(), 0.5, alphas=alphas, pose_weight=3.0, point_loss="square"
    )
    assert parts["points"].item() == pytest.approx(100, rel=1e-4)


@pytest.mark.parametrize("options", [[], ["--aligned"]])
def test_picture(data, tmp_path, capsys, options):
    picture = tmp_path / "asm.png"
    assert main(["asm", "--data", str(data), "--out", str(picture), *options]) == 0
    assert picture.stat().st_size > 10_000
    assert "modes of" in capsys.readouterr().out
