"""The comparison with other systems, on our own predictions for real photos as labels."""

import importlib
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tqdm")

from asmnet import FaceAnalyzer
from asmnet.datasets.splits import read_300w
from asmnet.geometry import points_box
from asmnet.image import load_image

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TEST = ("london_006_03", "london_037_03", "london_097_03")
VALIDATION = {"copy11": "london_130_03", "copy18": "london_006_03"}  # names of that part


@pytest.fixture
def accuracy(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("accuracy")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, photos):
    """Three test photos and two of the validation part, with the analyzer's points as labels."""
    root = tmp_path_factory.mktemp("labelled")
    analyzer = FaceAnalyzer(threads=1)
    sources = [("testset", name, name) for name in TEST]
    sources += [("trainset", name, source) for name, source in VALIDATION.items()]
    for part, name, source in sources:
        target = root / "300w" / "helen" / part / f"{name}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photos / f"{source}.jpg", target)
        (face,) = analyzer.detect(target)
        points = "\n".join(f"{x:.3f} {y:.3f}" for x, y in face.landmarks)
        target.with_suffix(".pts").write_text(f"version: 1\nn_points: 68\n{{\n{points}\n}}\n")
    assert len(read_300w(root, "test")) == len(TEST)
    assert len(read_300w(root, "val")) == len(VALIDATION)
    return root


def package(folder, name, files, monkeypatch):
    """Makes a package that can be found, with files of three megabytes in it."""
    for file in ("__init__.py", *files):
        path = folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if path.suffix == ".py" else bytes(3_000_000))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)


def test_our_weights_from_both_boxes(accuracy, labelled, tmp_path, capsys):
    figures, picture = tmp_path / "figures.json", tmp_path / "sheet.png"
    accuracy.main([
        "--data", str(labelled), "--systems", "asmnet-68,asmnet-98", "--limit", "2",
        "--json", str(figures), "--sheet", str(picture),
    ])  # fmt: skip
    content = json.loads(figures.read_text())
    assert (content["split"], content["photos"]) == ("test", 2)
    boxes = ["the label's", "asmnet-face's"]
    names = [(row["system"], row["box"]) for row in content["rows"]]
    assert names == [(name, box) for name in ("asmnet-68", "asmnet-98") for box in boxes]
    by_label, by_detector, *by_98 = content["rows"]
    # The labels are the predictions with the detector's boxes.
    assert by_detector["NME % of the found"] < 0.01
    assert by_detector["AUC@10 % with the lost"] > 99.9
    assert 0 < by_label["NME % of the found"] < 4
    assert all(0 < row["NME % of the found"] < 6 for row in by_98)
    assert all(row["lost"] == 0 for row in content["rows"])
    assert 0.3 < by_detector["MB"] - by_label["MB"] < 2
    assert "| asmnet-68 | asmnet-face's | 0.00 | 0.00 | 0.00 | 100.00 | 0 |" in (
        capsys.readouterr().out
    )
    with Image.open(picture) as opened:
        assert opened.size == (6 * 300, 300 * 2)  # eight tiles


def test_lost_faces_and_the_mean_offset(accuracy, labelled, tmp_path, monkeypatch):
    """A system that is off by a twentieth of the eyes' distance, and by two in one test photo."""
    known = {}
    for split in ("test", "val"):
        for face in read_300w(labelled, split):
            eyes = face.landmarks[45] - face.landmarks[36]
            known[points_box(face.landmarks).tobytes()] = face.landmarks + eyes / 20
    first, second, _ = read_300w(labelled, "test")
    known[points_box(first.landmarks).tobytes()] = None
    eyes = second.landmarks[45] - second.landmarks[36]
    known[points_box(second.landmarks).tobytes()] = second.landmarks + eyes / 10 * 2

    fake = accuracy.System(
        "fake", "none", 1.5, lambda _, box: known[box.tobytes()], own_points=True
    )
    monkeypatch.setitem(accuracy.OTHERS, "fake", lambda: [fake])
    target = tmp_path / "figures.json"
    accuracy.main(["--data", str(labelled), "--systems", "fake", "--json", str(target)])
    raw, shifted = json.loads(target.read_text())["rows"]
    assert raw["NME % of the found"] == pytest.approx((5 + 20) / 2)
    assert raw["FR@10 % with the lost"] == pytest.approx(200 / 3)
    assert raw["AUC@10 % with the lost"] == pytest.approx(50 / 3)
    assert (raw["lost"], raw["MB"]) == (1, 1.5)
    assert "mean offset on validation photos" in shifted["system"]
    assert shifted["NME % of the found"] == pytest.approx((0 + 15) / 2)
    assert shifted["AUC@10 % with the lost"] == pytest.approx(100 / 3)


def test_dlib_counts_from_the_centre_of_the_first_pixel(accuracy, photos, tmp_path, monkeypatch):
    file = "models/shape_predictor_68_face_landmarks.dat"
    package(tmp_path, "face_recognition_models", [file], monkeypatch)
    unit = np.random.default_rng(0).uniform(0, 1, (68, 2))
    unit = (unit - unit.min(axis=0)) / np.ptp(unit, axis=0)

    def predictor(_, rectangle):
        first, last = np.array(rectangle[:2]), np.array(rectangle[2:])
        points = np.rint(first + unit * (last - first))
        return SimpleNamespace(parts=lambda: [SimpleNamespace(x=x, y=y) for x, y in points])

    dlib = SimpleNamespace(
        rectangle=lambda *sides: sides,
        shape_predictor=lambda path: predictor if path.endswith(file) else None,
        # Of two faces the second is the one that is meant.
        get_frontal_face_detector=lambda: lambda _, __: [(400, 0, 499, 99), (0, 0, 99, 99)],
    )
    monkeypatch.setitem(sys.modules, "dlib", dlib)
    own, label, ours = accuracy.dlib_systems()
    image, box = np.zeros((200, 600, 3), np.uint8), np.array([0.0, 0.0, 100.0, 100.0])
    # The rectangle's first and last pixels have their centres half a pixel inside of the box.
    inside = [0.5, 0.5, 99.5, 99.5]
    assert points_box(label.points(image, box)).tolist() == inside
    assert points_box(own.points(image, box)).tolist() == inside
    assert own.points(image, box + 200) is None
    assert ours.points(image, box) is None
    portrait = load_image(photos / f"{TEST[0]}.jpg")
    (face,) = FaceAnalyzer(threads=1).detect(portrait)
    found = points_box(ours.points(portrait, points_box(face.landmarks)))
    size = np.sqrt((face.bbox[2:] - face.bbox[:2]).prod())
    centre = (face.bbox[:2] + face.bbox[2:]) / 2 - [0, 0.09 * size]
    assert (found[:2] + found[2:]) / 2 == pytest.approx(centre, abs=1)
    assert found[2:] - found[:2] == pytest.approx([1.04 * size] * 2, abs=2)
    assert (own.megabytes, label.megabytes) == (3, 3)
    assert 3.3 < ours.megabytes < 5


def test_mediapipe_gives_the_face_that_is_meant(accuracy, tmp_path, monkeypatch):
    files = [
        "modules/face_detection/face_detection_short_range.tflite",
        "modules/face_landmark/face_landmark.tflite",
        "modules/face_landmark/face_landmark_with_attention.tflite",
    ]
    package(tmp_path, "mediapipe", files, monkeypatch)
    unit = np.random.default_rng(0).uniform(0, 0.25, (478, 2))

    class FaceMesh:
        def __init__(self, *, static_image_mode, max_num_faces, refine_landmarks):
            assert static_image_mode
            assert max_num_faces > 1
            self.unit = unit if refine_landmarks else unit[:468]

        def process(self, image):
            faces = [self.unit + 0.5, self.unit] if image.any() else None
            return SimpleNamespace(
                multi_face_landmarks=faces
                and [
                    SimpleNamespace(landmark=[SimpleNamespace(x=x, y=y) for x, y in face])
                    for face in faces
                ]
            )

    name = "mediapipe.python.solutions.face_mesh"
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(FaceMesh=FaceMesh))
    mesh, refined = accuracy.mediapipe_systems()
    bright, box = np.full((200, 400, 3), 9, np.uint8), np.array([0.0, 0.0, 100.0, 50.0])
    points = mesh.points(bright, box)
    assert points.shape == (68, 2)
    assert points[27] == pytest.approx(unit[168] * [400, 200])  # between the eyes
    assert mesh.points(bright, box + 300) is None
    assert refined.points(np.zeros_like(bright), box) is None
    assert (mesh.megabytes, refined.own_points) == (6, True)


@pytest.mark.parametrize(
    ("system", "missing"),
    [("dlib", "dlib"), ("dlib", "face_recognition_models"), ("mediapipe", "mediapipe")],
)
def test_what_is_missing_is_said(system, missing, accuracy, labelled, monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", SimpleNamespace())
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SystemExit, match=rf"{missing}.*asmnet\[bench\]"):
        accuracy.main(["--data", str(labelled), "--systems", system])


def test_a_folder_without_photos(accuracy, tmp_path):
    with pytest.raises(SystemExit, match="expected photos with labels for test"):
        accuracy.main(["--data", str(tmp_path)])
