"""Labels from a trained network."""

import shutil

import numpy as np
import pytest

from asmnet import FaceAnalyzer, FaceDetector, FaceLandmarker
from asmnet.datasets.pseudo_labels import consider, read_labels, write_labels
from asmnet.datasets.splits import part_of
from asmnet.errors import InvalidInputError
from asmnet.image import load_image
from asmnet.schemes import WFLW_98, WFLW_TO_IBUG
from asmnet.training.cli import main
from asmnet.weights import PACKAGE, manifest

FAMILY = {"teacher": "asmnet-68", "detector": "asmnet-face", "verifier": "asmnet-face-verifier"}
PORTRAITS = ("london_006_03.jpg", "london_037_03.jpg", "astronaut.png")


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory, photos):
    root = tmp_path_factory.mktemp("unlabelled")
    for folder in ("helen_unlabelled", "youtube_faces"):
        (root / folder / "images").mkdir(parents=True)
    shutil.copyfile(photos / PORTRAITS[0], root / "helen_unlabelled/images" / PORTRAITS[0])
    shutil.copyfile(photos / PORTRAITS[1], root / "youtube_faces/images" / "A_Person_07.jpg")
    return root


def test_labels_are_what_the_network_sees(unlabelled, photos, tmp_path, capsys):
    file = tmp_path / "teacher.npz"
    assert main(["label", "asmnet-68", "--data", str(unlabelled), "--out", str(file)]) == 0
    assert "2 faces" in capsys.readouterr().out
    analyzer = FaceAnalyzer(threads=1)
    faces = [f for part in ("train", "val") for f in read_labels(file, unlabelled, part)]
    assert {face.source for face in faces} == {"helen_unlabelled", "youtube_faces"}
    for face in faces:
        (seen,) = analyzer.detect(face.image)
        side = (seen.bbox[2:] - seen.bbox[:2]).max()
        assert np.abs(face.landmarks - seen.landmarks).mean() < 0.01 * side
        assert face.rotation @ face.rotation.T == pytest.approx(np.eye(3), abs=1e-6)
        assert np.linalg.det(face.rotation) == pytest.approx(1)
    # Photos and people keep to the part that their name gives them.
    for part in ("train", "val"):
        for face in read_labels(file, unlabelled, part):
            name = face.image.name
            assert part_of("A_Person" if name.startswith("A_") else name) == part


def test_a_mirrored_photo_has_mirrored_labels(photos):
    landmarker, detector = FaceLandmarker(threads=1), FaceDetector(threads=1)
    image = load_image(photos / PORTRAITS[2])
    (found,) = detector.detect(image)
    points, rotation = consider(
        landmarker, image, found.bbox, found.keypoints, np.random.default_rng(0)
    )
    width = image.shape[1]
    box = found.bbox[[2, 1, 0, 3]] * [-1, 1, -1, 1] + [width, 0, width, 0]
    keypoints = found.keypoints[[1, 0, 2, 4, 3]] * [-1, 1] + [width, 0]
    other, turned = consider(
        landmarker, np.ascontiguousarray(image[:, ::-1]), box, keypoints, np.random.default_rng(1)
    )
    mirrored = (other * [-1, 1] + [width, 0])[np.array(landmarker.scheme.flip)]
    assert np.abs(mirrored - points).max() < 2  # the boxes differ a little
    assert turned * np.outer([-1, 1, 1], [-1, 1, 1]) == pytest.approx(rotation, abs=0.05)


def test_98_points_of_a_teacher_serve_for_68_and_not_the_other_way(unlabelled, tmp_path):
    files = {98: tmp_path / "98.npz", 68: tmp_path / "68.npz"}
    for points, file in files.items():
        weights = f"asmnet-{points}"
        assert main(["label", weights, "--data", str(unlabelled), "--out", str(file)]) == 0
    part = part_of(PORTRAITS[0])
    (all98,) = (
        f for f in read_labels(files[98], unlabelled, part, WFLW_98) if "006" in f.image.name
    )
    (mapped,) = (f for f in read_labels(files[98], unlabelled, part) if "006" in f.image.name)
    assert all98.landmarks.shape == (98, 2)
    assert all98.scheme is WFLW_98
    assert mapped.landmarks == pytest.approx(WFLW_TO_IBUG @ all98.landmarks)
    with pytest.raises(InvalidInputError, match="expected 98 points, got 68"):
        read_labels(files[68], unlabelled, part, WFLW_98)


@pytest.fixture
def open_photos(tmp_path, photos):
    (tmp_path / "data" / "open" / "fairface").mkdir(parents=True)
    shutil.copyfile(photos / PORTRAITS[0], tmp_path / "data/open/fairface" / PORTRAITS[0])
    return tmp_path / "data"


def made_by(file):
    with np.load(file) as labels:
        return {key: str(labels[key]) for key in labels if labels[key].ndim == 0}


def test_a_file_names_all_that_made_it_with_licences(unlabelled, tmp_path):
    file = tmp_path / "labels.npz"
    write_labels("asmnet-68", unlabelled, file)
    known = {role: manifest()[name].license for role, name in FAMILY.items()}
    assert made_by(file) == FAMILY | {f"{role}_licence": text for role, text in known.items()}


@pytest.mark.usefixtures("open_family")
def test_an_open_teacher_s_labels_of_open_photos_have_nothing_closed(open_photos, tmp_path):
    file = tmp_path / "labels.npz"
    arguments = ["--data", str(open_photos), "--out", str(file), "--sets", "open"]
    assert main(["label", "asmnet-open-68", "--detector", "asmnet-open-face", *arguments]) == 0
    roles = {"teacher": "asmnet-open-68", "detector": "asmnet-open-face",
             "verifier": "asmnet-open-face-verifier"}  # fmt: skip
    assert made_by(file) == roles | {f"{role}_licence": "Apache-2.0" for role in roles}
    faces = [f for part in ("train", "val") for f in read_labels(file, open_photos, part)]
    assert [(f.source, f.image) for f in faces] == [
        ("open", open_photos / "open" / "fairface" / PORTRAITS[0])
    ]


def test_a_detector_of_no_family_is_taken_alone(unlabelled, tmp_path):
    own = tmp_path / "weights" / "own.onnx"
    own.parent.mkdir()
    shutil.copyfile(PACKAGE / "weights" / "asmnet-face.onnx", own)
    with own.open("ab") as file:  # an empty field that ONNX leaves out: another hash
        file.write(b"\x52\x00")
    write_labels("asmnet-68", unlabelled, tmp_path / "labels.npz", detector=str(own))
    made = made_by(tmp_path / "labels.npz")
    assert (made["detector"], made["detector_licence"]) == (str(own), "unknown")
    assert "verifier" not in made


def test_a_photo_without_a_face_is_left_out(photos):
    landmarker = FaceLandmarker(threads=1)
    image = load_image(photos / "astronaut.png")
    box, keypoints = np.array([400.0, 20, 500, 120]), np.full((5, 2), 450.0)
    assert consider(landmarker, image, box, keypoints, np.random.default_rng(0)) is None


def test_a_teacher_needs_confidence(unlabelled, tmp_path, capsys):
    arguments = ["--data", str(unlabelled), "--out", str(tmp_path / "labels.npz")]
    assert main(["label", "asmnet-paper-68", *arguments]) == 1
    assert "confidence and presence" in capsys.readouterr().err


def test_missing_files(tmp_path, capsys):
    arguments = ["--data", str(tmp_path), "--out", str(tmp_path / "labels.npz")]
    assert main(["label", "asmnet-68", *arguments]) == 1
    assert "expected photos under helen_unlabelled" in capsys.readouterr().err
    with pytest.raises(InvalidInputError, match="asmnet-train label"):
        read_labels(tmp_path / "labels.npz", tmp_path, "train")
