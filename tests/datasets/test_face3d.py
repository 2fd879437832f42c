"""The command that makes the package's 3-D face, on made shapes."""

import numpy as np
import pytest

from asmnet.schemes import IBUG_68
from asmnet.training.cli import main


def mirror(shapes):
    return shapes[..., IBUG_68.flip, :] * [-1, 1, 1]


@pytest.fixture
def shapes(tmp_path):
    rng = np.random.default_rng(0)
    neutral = rng.standard_normal((68, 3))
    values = {
        "neutral": neutral + mirror(neutral) + [0, 5, 0],
        "identity": rng.standard_normal((3, 68, 3)),
        "expression": rng.standard_normal((2, 68, 3)),
    }
    folder = tmp_path / "ict_face68"
    folder.mkdir()
    np.savez(folder / "ict_face68.npz", **values)
    return values


def test_modes_span_the_shapes_and_their_mirror_images(shapes, tmp_path):
    out = tmp_path / "face3d.npz"
    assert main(["face3d", "--data", str(tmp_path), "--out", str(out)]) == 0
    with np.load(out) as made:
        face = {name: made[name].astype(np.float64) for name in made.files}
        assert {made[name].dtype for name in made.files} == {np.dtype(np.float32)}
    assert face["neutral"].mean(axis=0) == pytest.approx(0, abs=1e-5)
    assert mirror(face["neutral"]) == pytest.approx(face["neutral"], abs=1e-5)
    for name, spread in (("identity", 1.0), ("expression", 0.3)):
        given = spread * shapes[name].reshape(-1, 204)
        both = np.concatenate([given, spread * mirror(shapes[name]).reshape(-1, 204)])
        modes = face[name].reshape(-1, 204)
        # The modes' covariance is the mean of the shapes' and the mirrored shapes'.
        assert modes.T @ modes == pytest.approx(both.T @ both / 2, abs=1e-3)


def test_other_files_are_refused(tmp_path, capsys):
    assert main(["face3d", "--data", str(tmp_path), "--out", str(tmp_path / "out.npz")]) == 1
    assert "ict_face68.npz: no such file" in capsys.readouterr().err
    (tmp_path / "ict_face68").mkdir()
    np.savez(tmp_path / "ict_face68" / "ict_face68.npz", neutral=np.zeros((68, 2)))
    assert main(["face3d", "--data", str(tmp_path), "--out", str(tmp_path / "out.npz")]) == 1
    assert "expected neutral, identity and expression" in capsys.readouterr().err
