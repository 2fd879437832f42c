"""Spreads to probabilities."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from asmnet.datasets.records import LabelError  # noqa: E402
from asmnet.evaluation.robustness import Reliability, roc_area  # noqa: E402
from asmnet.training.config import read_config  # noqa: E402
from asmnet.training.export.calibration import RADIUS, calibrate  # noqa: E402

CONFIGS = Path(__file__).parents[3] / "configs"
CONFIG = replace(read_config(CONFIGS / "asmnet-68-points.toml"), size=64)


class Blind(torch.nn.Module):
    """Puts all points into the middle of the crop, with one spread whatever it sees."""

    def forward(self, images):
        n = len(images)
        points = torch.full((n, 68, 2), 0.5)
        return points, torch.eye(3).expand(n, 3, 3), torch.full((n, 68), 0.02)


def test_a_network_that_is_always_wrong_has_no_confidence(data):
    curves = calibrate(Blind().eval(), CONFIG, data)
    confidence = 1 / (1 + np.exp(-(curves.confidence[0] + curves.confidence[1] * np.log(0.02))))
    # All points in the crop's middle: next to none is within the radius.
    assert RADIUS == 0.025
    assert confidence < 0.1
    presence = 1 / (1 + np.exp(-(curves.presence[0] + curves.presence[1] * np.log(0.02))))
    assert presence == pytest.approx(0.5, abs=0.02)  # the same spread everywhere tells nothing


def test_no_photos(tmp_path):
    with pytest.raises(LabelError, match="expected faces with 68 points"):
        calibrate(Blind().eval(), CONFIG, tmp_path)


def test_roc_area():
    assert roc_area([3, 4], [1, 2]) == 1
    assert roc_area([1, 2], [3, 4]) == 0
    assert roc_area([1, 3], [2, 2]) == 0.5
    assert roc_area([1, 2, 3], [2]) == 0.5  # a tie counts half


def test_reliability_bins():
    confidence = np.array([0.05, 0.55, 0.58, 1.0])
    reliability = Reliability(confidence, np.array([False, True, False, True]))
    assert reliability.bins() == [(0.05, 0.0, 1), (pytest.approx(0.565), 0.5, 2), (1.0, 1.0, 1)]
    assert reliability.expected_error() == pytest.approx((0.05 + 2 * 0.065) / 4)
