"""How detector and verifier are weighed: fitted to what labelled photos show."""

import cv2
import numpy as np
import pytest

from asmnet.datasets.detection import crowd_part
from asmnet.datasets.licences import crowds_licences
from asmnet.errors import InvalidInputError
from asmnet.evaluation.verification import candidates, fitted_weights
from asmnet.image import load_image

FACE = (168, 58, 113, 133)  # as YuNet draws astronaut.png's, from the hairline: x, y, w, h


@pytest.fixture
def crowds(tmp_path, photos):
    """Two photos of the validation part: one with a labelled face, one without any label."""
    names = [name for name in map("{}.jpg".format, range(40)) if crowd_part(name) == "val"]
    folder = tmp_path / "crowds"
    (folder / "images").mkdir(parents=True)
    image = load_image(photos / "astronaut.png")[:, :, ::-1]
    for name in names[:2]:
        cv2.imwrite(str(folder / "images" / name), image)
    header = "file,x,y,w,h," + ",".join(f"p{i}" for i in range(10)) + ",score\n"
    points = ",".join(["0"] * 10)
    row = f"{names[0]},{','.join(map(str, FACE))},{points},0.9\n"
    (folder / "faces.csv").write_text(header + row)
    (folder / "faces_low.csv").write_text(header)
    return tmp_path


def test_candidates_are_faces_or_not_by_the_labels(crowds):
    rows = candidates(crowds, "val", detector="research", verifier=None, open_only=False)
    sure = rows[rows[:, 1] > 0.9]
    # The same face: labelled in one photo, in the other it counts as false.
    assert sorted(sure[:, 3]) == [0, 1]
    assert sure[:, 2] == pytest.approx(np.full(2, 90), abs=15)
    assert ((rows[:, :2] >= 0) & (rows[:, :2] <= 1)).all()
    assert np.isfinite(fitted_weights(crowds)).all()


def test_open_weights_are_weighed_by_open_photos_alone(crowds):
    with pytest.raises(InvalidInputError, match=r"expected faces and false candidates .* 0 faces"):
        fitted_weights(crowds, open_only=True)
    names = sorted(path.name for path in (crowds / "crowds" / "images").iterdir())
    rows = "".join(f"{name},18f,18F/site,CC0 1.0,open: CC0\n" for name in names)
    (crowds / "crowds" / "sources.csv").write_text("file,source,repository,licence,terms\n" + rows)
    crowds_licences.cache_clear()
    assert fitted_weights(crowds, open_only=True) == pytest.approx(fitted_weights(crowds))
