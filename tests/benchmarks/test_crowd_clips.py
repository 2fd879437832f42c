"""Clips over photos of many: what becomes of labelled faces."""

import numpy as np
import pytest
from tracking.crowds import FPS, MOTIONS, SECONDS, Result, figures, follow, frames, main, times

from asmnet import FaceTracker
from asmnet.datasets.detection import DetectionPhoto, ellipse

# Of the three astronauts of apollo11_crew.jpg, brows to chin.
CREW = np.array([[240, 300, 355, 410], [542, 138, 646, 242], [896, 326, 1010, 432]], float)


@pytest.mark.parametrize("motion", MOTIONS)
def test_labels_move_with_the_picture(motion):
    y, x = np.mgrid[:400, :600]
    photo = np.full((400, 600, 3), 20, np.uint8)
    photo[np.hypot(x + 0.5 - 310, y + 0.5 - 190) < 12] = 255
    for image, matrix in list(frames(photo, MOTIONS[motion]))[::15]:
        label = matrix[:, :2] @ [310, 190] + matrix[:, 2]
        light = np.clip(image[:, :, 0].astype(float) - 60, 0, None)
        rows, columns = np.mgrid[:480, :640] + 0.5
        middle = np.array([(light * columns).sum(), (light * rows).sum()]) / light.sum()
        assert np.abs(middle - label).max() < 0.3


def test_three_faces_are_followed_by_a_number_each(photos):
    labels = DetectionPhoto(
        photos / "apollo11_crew.jpg", "crowds", [ellipse(box) for box in CREW], np.zeros((3, 5, 2))
    )
    result = follow(FaceTracker(threads=1), labels, MOTIONS["shake"])
    assert result.seen.shape == (FPS * SECONDS, 3)
    table = figures([result])
    assert table["faces"] == 3
    assert table["followed after a second, %"] > 90
    assert table["numbers a face"] < 1.4
    assert table["boxes beside labels a frame"] < 0.1


def test_what_is_lost_and_found_again_is_counted():
    seen = np.ones((60, 1), bool)
    tracks = np.zeros((60, 1), int)
    tracks[:10] = -1
    tracks[40:50] = -1
    tracks[50:] = 7
    result = Result(seen, tracks, np.full(60, 0.01), np.zeros(60))
    table = figures([result])
    assert table["followed after a second, %"] == pytest.approx(100 * 20 / 30)
    assert table["numbers a face"] == 2
    assert table["frames until found, 90th percentile"] == 10
    assert times([result])["ms a frame, mean"] == pytest.approx(10)


def test_figures_that_are_there_stay(tmp_path, capsys):
    (tmp_path / "figures.json").write_text("kept")
    with pytest.raises(SystemExit, match="2"):
        main(["--data", str(tmp_path / "data"), "--json", str(tmp_path / "figures.json")])
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "figures.json").read_text() == "kept"
