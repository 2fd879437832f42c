"""The scoring commands, on a test set whose labels are our own predictions for real photos."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnx")

from asmnet import FaceAnalyzer
from asmnet import weights as weights_module
from asmnet.training.cli import main
from asmnet.training.datasets import read_300w

PORTRAITS = ("london_006_03", "london_037_03", "london_097_03", "london_130_03")


@pytest.fixture(scope="module")
def scored(tmp_path_factory, photos):
    """Four portraits as 300W test photos and as frontal Pointing'04 photos, and two backgrounds."""
    root = tmp_path_factory.mktemp("scored")
    analyzer = FaceAnalyzer(threads=1)
    labels = ["file,person,tilt_deg,pan_deg,box_cx,box_cy,box_w,box_h"]
    for folder in ("300w/helen/testset", "pointing04/images", "backgrounds/images"):
        (root / folder).mkdir(parents=True)
    for name in PORTRAITS:
        source = photos / f"{name}.jpg"
        (face,) = analyzer.detect(source)
        target = root / "300w" / "helen" / "testset" / f"{name}.jpg"
        shutil.copyfile(source, target)
        points = "\n".join(f"{x:.3f} {y:.3f}" for x, y in face.landmarks)
        target.with_suffix(".pts").write_text(f"version: 1\nn_points: 68\n{{\n{points}\n}}\n")
        shutil.copyfile(source, root / "pointing04" / "images" / f"{name}.jpg")
        (x, y), (width, height) = (face.bbox[:2] + face.bbox[2:]) / 2, face.bbox[2:] - face.bbox[:2]
        labels.append(f"{name}.jpg,9,0,0,{x},{y},{width},{height}")
    (root / "pointing04" / "labels.csv").write_text("\n".join(labels) + "\n")
    for i in range(2):
        Image.new("RGB", (320, 240), (40 * i, 90, 60)).save(root / f"backgrounds/images/{i}.jpg")
    assert len(read_300w(root, "test")) == len(PORTRAITS)
    return root


def test_detector_table(scored, tmp_path, capsys):
    target = tmp_path / "figures.json"
    arguments = ["evaluate", "detector", "--data", str(scored), "--json", str(target)]
    assert main(arguments) == 0
    figures = json.loads(target.read_text())["asmnet-face"]
    assert figures["300W common, recall %"] == 100
    assert figures["Pointing'04 09-15, found %"] == 100
    assert figures["300W common, faces of 192 px in 320, recall %"] == 100
    assert figures["held-out backgrounds, false faces in 50 photos"] == 0
    assert "| 300W common, recall % | 100.00 |" in capsys.readouterr().out


def test_landmark_table_sheet_and_manifest(scored, tmp_path, monkeypatch):
    package = tmp_path / "package"
    shutil.copytree(weights_module.PACKAGE / "weights", package / "weights")
    shutil.copyfile(
        weights_module.PACKAGE / "weights_manifest.json", package / "weights_manifest.json"
    )
    monkeypatch.setattr("asmnet.training.evaluate.PACKAGE", package)
    target, sheet = tmp_path / "figures.json", tmp_path / "sheet.png"
    arguments = ["evaluate", "landmarks", "--data", str(scored), "--update-manifest"]
    assert main([*arguments, "--json", str(target), "--sheet", str(sheet)]) == 0
    figures = json.loads(target.read_text())["asmnet-68"]
    # The labels are the predictions with the detector's boxes.
    assert figures["300W common, detector box, NME % of the found"] < 0.01
    assert figures["300W common, detector box, lost of 554"] == 0
    assert 0 < figures["300W common, label box, NME %"] < 4
    assert figures["Pointing'04 09-15, all poses, pan MAE °"] < 15
    with Image.open(sheet) as picture:
        assert np.asarray(picture).any()
    content = json.loads((package / "weights_manifest.json").read_text(encoding="utf-8"))
    (record,) = (r for r in content["weights"] if r["name"] == "asmnet-68")
    stored = record["metrics"]["300W common, label box, NME %"]
    assert stored["value"] == pytest.approx(figures["300W common, label box, NME %"], abs=1e-3)
    assert stored["command"] == "asmnet-train evaluate landmarks --data DATA"
    assert not any(name.startswith("ms") for name in record["metrics"])
