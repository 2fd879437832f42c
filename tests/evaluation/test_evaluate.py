"""The scoring commands, on a test set whose labels are our own predictions for real photos."""

import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

onnx = pytest.importorskip("onnx")
pytest.importorskip("matplotlib")
savemat = pytest.importorskip("scipy.io").savemat

from asmnet import FaceAnalyzer  # noqa: E402
from asmnet import weights as weights_module  # noqa: E402
from asmnet.datasets.detection import crowd_part  # noqa: E402
from asmnet.datasets.splits import part_of, read_300w  # noqa: E402
from asmnet.evaluation.detector import crowd_figures, crowd_sheet, group_photo  # noqa: E402
from asmnet.evaluation.landmarks import Scores, group_figures  # noqa: E402
from asmnet.evaluation.report import FALSE, FOUND, MISSED  # noqa: E402
from asmnet.geometry import CropTransform, euler_to_rotation  # noqa: E402
from asmnet.image import load_image  # noqa: E402
from asmnet.pose3d import load_face3d  # noqa: E402
from asmnet.schemes import IBUG_68, WFLW_TO_IBUG  # noqa: E402
from asmnet.session import OnnxSession  # noqa: E402
from asmnet.training.cli import main  # noqa: E402
from asmnet.weights import records  # noqa: E402
from asmnet.weights.records import read_record  # noqa: E402

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
    tables = json.loads(target.read_text())
    for figures in (tables["asmnet-face"], tables["asmnet.detect"]):
        assert figures["300W common, recall %"] == 100
        assert figures["Pointing'04 09-15, found %"] == 100
        assert figures["300W common, faces of 192 px in 320, recall %"] == 100
        assert figures["300W common, turned 180°, lost of 4"] == 0
        assert figures["hard negatives and held-out backgrounds, false faces in 100 photos"] == 0
    assert "| 300W common, recall % | 100.00 | 100.00 |" in capsys.readouterr().out


def test_detector_table_on_ordinary_photos(tmp_path, photos):
    """One photo with a labelled crew, and one whose label is where nobody is."""
    crowds, masks = tmp_path / "crowds", tmp_path / "facemask"
    names = [f"{i}.jpg" for i in range(60) if crowd_part(f"{i}.jpg") == "val"][:2]
    for folder in (crowds, masks):
        (folder / "images").mkdir(parents=True)
        for name in names:
            shutil.copyfile(photos / "apollo11_crew.jpg", folder / "images" / name)
    analyzer = FaceAnalyzer(threads=1)
    found = [face.bbox for face in analyzer.detect(photos / "apollo11_crew.jpg")]
    rows = ["file,x,y,w,h," + ",".join("abcdefghij") + ",score"]
    for x0, y0, x1, y1 in found:  # YuNet's boxes reach to the hairline
        numbers = (x0, y0 - 0.3 * (y1 - y0), x1 - x0, 1.3 * (y1 - y0), *[1.0] * 10, 0.9)
        rows.append(names[0] + "," + ",".join(f"{n:.1f}" for n in numbers))
    rows.append(f"{names[1]},10,10,60,80," + "1," * 10 + "0.9")
    (crowds / "faces.csv").write_text("\n".join(rows) + "\n")
    x0, y0, x1, y1 = found[0]
    boxes = f"{names[0]},with_mask,{x0:.0f},{y0:.0f},{x1:.0f},{y1:.0f}\n"
    (masks / "boxes.csv").write_text("file,label,x0,y0,x1,y1\n" + boxes)
    figures = crowd_figures(analyzer.detect, tmp_path)
    assert figures["crowds validation, faces from 32 px on, recall %"] == 75
    assert figures["crowds validation, false faces in 100 photos"] == 150
    assert figures["facemask validation, faces from 32 px on, recall %"] == 100
    assert figures["facemask validation, boxes beside labels in 100 photos"] == 200
    assert group_photo(tmp_path).shape[1] == 1280
    picture = crowd_sheet(analyzer.detect, tmp_path)
    assert picture.shape == (640, 4 * 640, 3)
    for colour in (FOUND, MISSED, FALSE):
        assert (picture == colour).all(axis=2).any()


def test_robustness_table_and_reliability(scored, tmp_path):
    assert main(["evaluate", "robustness", "--data", str(scored), "--report", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())["asmnet-68"]
    assert figures["300W common, box as labelled, NME %"] < 4
    assert figures["300W common, box ±15 %, NME %"] < 8
    assert figures["300W common, turned by 30°, lost"] == 0
    assert figures["300W common, turned by 30°, NME %"] < 5
    assert figures["presence, faces against backgrounds, AUC"] == 1
    assert figures["presence ≥ 0.5, recall %"] == 100
    assert figures["presence ≥ 0.5, precision %"] > 60
    assert figures["confidence, fall of a covered mouth's points"] > 0.1
    assert (tmp_path / "reliability.png").stat().st_size > 5000


def test_networks_without_confidence_have_the_other_figures(scored, tmp_path):
    arguments = ["evaluate", "robustness", "--weights", "asmnet-paper-68", "--data", str(scored)]
    assert main([*arguments, "--report", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())["asmnet-paper-68"]
    assert figures["300W common, box ±15 %, NME %"] > 0
    assert not any(name.startswith(("presence", "confidence")) for name in figures)
    assert not (tmp_path / "reliability.png").exists()


def test_landmark_table_sheet_and_manifest(scored, tmp_path, monkeypatch):
    package = tmp_path / "package"
    shutil.copytree(weights_module.PACKAGE / "weights", package / "weights")
    shutil.copyfile(
        weights_module.PACKAGE / "weights_manifest.json", package / "weights_manifest.json"
    )
    monkeypatch.setattr("asmnet.evaluation.evaluate.PACKAGE", package)
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


REPORT = {"ced.png", "error_per_point.png", "worst.png", "figures.json", "table.md"}
SHAPE_98 = np.random.default_rng(0).uniform(0, 1, (98, 2))  # in units of its box of 68 points
SHAPE_98 = (SHAPE_98 - (WFLW_TO_IBUG @ SHAPE_98).min(axis=0)) / np.ptp(
    WFLW_TO_IBUG @ SHAPE_98, axis=0
)


def figures_of(arguments, folder, capsys):
    """The one column of figures of an `evaluate landmarks` command."""
    target = folder / "figures.json"
    assert main(["evaluate", "landmarks", *arguments, "--json", str(target), "--overwrite"]) == 0
    capsys.readouterr()
    (figures,) = json.loads(target.read_text()).values()
    return figures


@pytest.fixture(scope="module")
def network_98(tmp_path_factory):
    """A network of 98 points that says the same of every crop: SHAPE_98 in a square box."""
    path = tmp_path_factory.mktemp("weights") / "net98.onnx"
    box = np.array([10.0, 10, 60, 60])
    points = CropTransform.from_bbox(box, 32, margin=1.25).apply(10 + 50 * SHAPE_98)
    values = {"points": points, "turn": euler_to_rotation(np.array([0.0, 20, 0]))}
    helper, tensor = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value))
        for name, value in (
            ("points", values["points"].astype(np.float32)[None]),
            ("turn", values["turn"].astype(np.float32)[None]),
            ("first", np.array([0])),
            ("ones", np.array([1, 1])),
        )
    ]
    nodes += [
        helper.make_node("Shape", ["images"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["count"]),
        helper.make_node("Concat", ["count", "ones"], ["repeats"], axis=0),
        helper.make_node("Tile", ["points", "repeats"], ["landmarks"]),
        helper.make_node("Tile", ["turn", "repeats"], ["rotation"]),
    ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("images", tensor.UINT8, ["n", 32, 32, 3])],
        [
            helper.make_tensor_value_info("landmarks", tensor.FLOAT, ["n", 98, 2]),
            helper.make_tensor_value_info("rotation", tensor.FLOAT, ["n", 3, 3]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    metadata = {"task": "landmarks", "scheme": "wflw98", "input_size": "32", "crop_margin": "1.25"}
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def found(photos):
    """The four portraits' faces, and their squares: the boxes of the 98 points."""
    analyzer = FaceAnalyzer(threads=1)
    faces = {name: analyzer.detect(photos / f"{name}.jpg")[0] for name in PORTRAITS}
    squares = {}
    for name, face in faces.items():
        centre, half = (
            (face.bbox[:2] + face.bbox[2:]) / 2,
            (face.bbox[2:] - face.bbox[:2]).max() / 2,
        )
        squares[name] = np.concatenate([centre - half, centre + half])
    return faces, squares


@pytest.fixture(scope="module")
def wflw(tmp_path_factory, photos, found):
    root = tmp_path_factory.mktemp("downloads")
    folder = root / "wflw" / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    folder.mkdir(parents=True)
    (root / "wflw" / "WFLW_images").mkdir()
    lines = []
    for i, (name, square) in enumerate(found[1].items()):
        shutil.copyfile(photos / f"{name}.jpg", root / "wflw" / "WFLW_images" / f"{name}.jpg")
        points = square[:2] + SHAPE_98 * (square[2:] - square[:2])
        attributes = f"{int(i == 0)} 0 0 0 {int(i < 2)} 0"
        coordinates = " ".join(f"{v:.6f}" for v in points.ravel())
        lines.append(f"{coordinates} 0 0 1 1 {attributes} {name}.jpg")
    (folder / "list_98pt_rect_attr_test.txt").write_text("\n".join(lines) + "\n")
    return root


def test_wflw_with_98_points_and_its_subsets(wflw, network_98, tmp_path, capsys):
    arguments = ["--data", str(wflw), "--set", "wflw", "--weights", str(network_98)]
    report = tmp_path / "report"
    figures = figures_of([*arguments, "--pupil", "--report", str(report)], tmp_path, capsys)
    assert figures["WFLW, faces"] == 4
    assert figures["WFLW, label box, NME %"] < 0.01
    assert figures["WFLW, label box, inter-pupil NME %"] < 0.01
    assert figures["WFLW, detector box, lost"] == 0
    assert (figures["WFLW pose, faces"], figures["WFLW occlusion, faces"]) == (1, 2)
    assert figures["WFLW occlusion, label box, AUC@10 %"] > 99
    assert not any(name.startswith("WFLW blur") for name in figures)  # no such face
    assert figures["WFLW, label box, left_pupil, NME %"] < 0.01
    assert {path.name for path in report.iterdir()} == REPORT
    assert json.loads((report / "figures.json").read_text()) == {str(network_98): figures}
    assert "| WFLW, faces | 4 |" in (report / "table.md").read_text(encoding="utf-8")
    for name in ("ced.png", "error_per_point.png", "worst.png"):
        with Image.open(report / name) as picture:
            assert np.asarray(picture.convert("RGB")).std() > 5, name
    with Image.open(report / "worst.png") as picture:
        assert picture.size == (6 * 300, 300)  # four faces, in one row


def test_wflw_with_68_points_is_mapped(wflw, tmp_path, capsys):
    figures = figures_of(["--data", str(wflw), "--set", "wflw"], tmp_path, capsys)
    assert figures["WFLW as 68 points, faces"] == 4
    assert figures["WFLW as 68 points, label box, NME %"] > 1


def test_98_points_on_300w_and_the_sheet_of_these_weights(scored, network_98, tmp_path, capsys):
    arguments = ["--data", str(scored), "--set", "300w"]
    sheets = [tmp_path / "bundled.png", tmp_path / "theirs.png"]
    theirs = [*arguments, "--weights", str(network_98), "--sheet", str(sheets[1])]
    figures = figures_of(theirs, tmp_path, capsys)
    assert figures["300W common, faces"] == 4  # the challenging part is not there
    assert figures["300W common, label box, NME %"] > 10
    assert figures["300W common, label box, FR@8 %"] == 100
    figures_of([*arguments, "--sheet", str(sheets[0])], tmp_path, capsys)
    assert not np.array_equal(*(cv2.imread(str(path)) for path in sheets))


def test_the_common_set_with_98_points(scored, network_98, tmp_path, capsys):
    arguments = ["--data", str(scored), "--weights", str(network_98), "--pupil"]
    figures = figures_of(arguments, tmp_path, capsys)
    assert figures["300W common, label box, NME %"] > 10
    ratio = (
        figures["300W common, label box, inter-pupil NME %"]
        / figures["300W common, label box, NME %"]
    )
    assert 1.2 < ratio < 1.7
    # The network turns every crop's head by 20°; the photos are said to be frontal.
    assert figures["Pointing'04 09-15, all poses, pan MAE °"] == pytest.approx(20, abs=1)


def test_aflw2000_and_its_pose(tmp_path, photos, found, capsys):
    folder = tmp_path / "aflw2000"
    folder.mkdir()
    for name, face in found[0].items():
        shutil.copyfile(photos / f"{name}.jpg", folder / f"{name}.jpg")
        angles = [face.pose.pitch, face.pose.yaw, face.pose.roll]
        if name == PORTRAITS[0]:
            angles = [0, 120, 0]  # is left out
        pose = np.concatenate([np.radians(angles), np.zeros(4)])[None]
        points = np.vstack([face.landmarks.T, np.zeros(68)])
        savemat(folder / f"{name}.mat", {"Pose_Para": pose, "pt3d_68": points})
    figures = figures_of(["--data", str(tmp_path), "--set", "aflw2000"], tmp_path, capsys)
    assert figures["AFLW2000-3D, detector box, NME % of the found"] < 0.01
    for angle in ("pitch", "yaw", "roll"):
        assert figures[f"AFLW2000-3D, detector box, the found, {angle} MAE °"] < 0.01
    assert figures["AFLW2000-3D, detector box, the found, geodesic °"] < 0.1
    assert 0 < figures["AFLW2000-3D, label box, geodesic °"] < 10


def test_300vw(tmp_path, photos, found, capsys):
    face = found[0][PORTRAITS[0]]
    image = load_image(photos / f"{PORTRAITS[0]}.jpg")[:, :, ::-1]
    folder = tmp_path / "300vw" / "203"
    (folder / "annot").mkdir(parents=True)
    size = image.shape[1::-1]
    writer = cv2.VideoWriter(str(folder / "vid.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, size)
    points = "\n".join(f"{x:.3f} {y:.3f}" for x, y in face.landmarks)
    for number in (1, 2):
        writer.write(np.ascontiguousarray(image))
        label = folder / "annot" / f"{number:06}.pts"
        label.write_text(f"version: 1\nn_points: 68\n{{\n{points}\n}}\n")
    writer.release()
    figures = figures_of(["--data", str(tmp_path), "--set", "300vw"], tmp_path, capsys)
    assert figures["300VW category 2, faces"] == 2
    assert figures["300VW category 2, detector box, NME % of the found"] < 1
    assert figures["300VW category 2, label box, AUC@8 %"] > 40


def test_a_face_that_is_not_found_is_a_failure(tmp_path, capsys):
    folder = tmp_path / "300w" / "lfpw" / "testset"
    folder.mkdir(parents=True)
    Image.new("RGB", (200, 200), (90, 90, 90)).save(folder / "grey.png")
    points = np.random.default_rng(0).uniform(50, 150, (68, 2))
    lines = "\n".join(f"{x:.3f} {y:.3f}" for x, y in points)
    (folder / "grey.pts").write_text(f"version: 1\nn_points: 68\n{{\n{lines}\n}}\n")
    report = tmp_path / "report"
    arguments = ["--data", str(tmp_path), "--pupil", "--report", str(report)]
    figures = figures_of(arguments, tmp_path, capsys)
    assert figures["300W common, detector box, lost of 554"] == 1
    assert figures["300W common, detector box, FR@10 % with the lost"] == 100
    assert "300W common, detector box, NME % of the found" not in figures
    assert {path.name for path in report.iterdir()} == REPORT


def seen(angles):
    """68 points of the 3-D face turned by pitch, yaw and roll, in a photo of 200 pixels."""
    camera = load_face3d().neutral @ euler_to_rotation(np.array(angles)).T
    return 100 + 8 * camera[:, :2] * [1, -1]


def test_pose_table(scored, tmp_path, capsys):
    root = tmp_path / "data"
    shutil.copytree(scored / "pointing04", root / "pointing04")
    names = [name for name in map(str, range(100)) if part_of(name) == "val"]
    angles = np.random.default_rng(0).uniform((-20, -60, -20), (20, 60, 20), (len(names), 3))
    rotations = euler_to_rotation(angles) @ euler_to_rotation(np.array([4.0, 0, 0])).T
    for folder, stem in (("300w/afw", "{}_1"), ("300w_lp_ibug", "{}_1_0")):
        (root / folder).mkdir(parents=True)
        prefix = "afw/" if folder == "300w/afw" else ""
        stems = [stem.format(name) for name in names]
        for one, turned in zip(stems, angles, strict=True):
            (root / folder / f"{one}.jpg").touch()
            points = "\n".join(f"{x:.3f} {y:.3f}" for x, y in seen(turned))
            text = f"version: 1\nn_points: 68\n{{\n{points}\n}}\n"
            (root / folder / f"{one}.pts").write_text(text)
        labels = [prefix + one for one in stems]
        where = (root / folder).parent if prefix else root / folder
        np.savez(where / "pseudo_labels.npz", name=np.array(labels), rotation=rotations)
    target = tmp_path / "pose.json"
    assert main(["evaluate", "pose", "--data", str(root), "--json", str(target)]) == 0
    assert "| 3-D face fitted to points |" in capsys.readouterr().out
    tables = json.loads(target.read_text())
    assert set(tables) == {"asmnet-68", "3-D face fitted to points"}
    fitted = tables["3-D face fitted to points"]
    for title in ("300W validation", "300W-LP validation"):
        assert fitted[f"{title}, faces"] == len(names)
        # The pseudo-labels were turned by 4° in the heads' own frames.
        assert fitted[f"{title}, to pseudo-labels, geodesic °"] == pytest.approx(4, abs=0.1)
    for figures in tables.values():
        assert figures["Pointing'04 09-15, all poses, pan MAE °"] < 15
        assert figures["Pointing'04 09-15, all poses, without a face"] == 0


def test_figures_of_other_commands_stay_in_the_manifest(scored, tmp_path, monkeypatch, capsys):
    package = tmp_path / "package"
    package.mkdir()
    old = "asmnet-train evaluate landmarks --data DATA --set 300w"
    metrics = {
        "gone": {"value": 1.0, "command": old},
        "kept": {"value": 2.0, "command": "asmnet-train evaluate pose --data DATA"},
    }
    content = {"schema_version": 1, "weights": [{"name": "asmnet-68", "metrics": metrics}]}
    (package / "weights_manifest.json").write_text(json.dumps(content))
    monkeypatch.setattr("asmnet.evaluation.evaluate.PACKAGE", package)
    arguments = ["evaluate", "landmarks", "--data", str(scored), "--set", "300w"]
    assert main([*arguments, "--update-manifest"]) == 0
    (record,) = json.loads((package / "weights_manifest.json").read_text())["weights"]
    assert "gone" not in record["metrics"]
    assert record["metrics"]["kept"]["value"] == 2
    assert record["metrics"]["300W common, label box, NME %"]["command"] == old


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pose", "--set", "wflw"], "expected with landmarks"),
        (["detector", "--pupil"], "expected with landmarks"),
        (["landmarks", "--set", "aflw2000"], "AFLW2000-3D: expected labelled faces, got none"),
        (["landmarks", "--set", "wflw"], "list_98pt_rect_attr_test.txt: cannot be read"),
        (["landmarks"], "300W common: expected labelled faces, got none"),
    ],
)
def test_what_cannot_be_scored_is_said(tmp_path, capsys, arguments, message):
    assert main(["evaluate", *arguments, "--data", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err


def test_shift_is_signed_and_in_eye_distances():
    truth = np.random.default_rng(0).uniform(0, 100, (3, 68, 2))
    truth[:, 36], truth[:, 45] = [20, 50], [70, 50]
    scores = Scores(
        scheme=IBUG_68,
        norm="ocular",
        truth=truth,
        by_label=truth + np.array([2, -1]),
        by_detector=truth,
        rotations=np.empty((3, 3, 3)),
        label_rotations=np.empty((3, 3, 3)),
        detector_rotations=np.empty((3, 3, 3)),
        subsets=[frozenset()] * 3,
        worst=[],
    )
    figures = group_figures(scores, "made", np.ones(3, dtype=bool))
    assert figures["made, label box, shift to the right %"] == pytest.approx(4)
    assert figures["made, label box, shift down %"] == pytest.approx(-2)


@pytest.mark.parametrize("what", ["detector", "landmarks", "pose", "robustness"])
@pytest.mark.usefixtures("open_family")
def test_weights_are_scored_beside_those_of_their_family(what, scored, monkeypatch):
    loaded = []
    real = OnnxSession.__init__

    def noted(self, weights, **options):
        loaded.append(weights)
        real(self, weights, **options)

    monkeypatch.setattr(OnnxSession, "__init__", noted)
    monkeypatch.setattr("asmnet.evaluation.evaluate.PACKAGE", records.PACKAGE)
    name = "asmnet-open-face" if what == "detector" else "asmnet-open-68"
    arguments = ["evaluate", what, "--data", str(scored), "--weights", name]
    assert main([*arguments, "--update-manifest"]) == 0
    assert set(loaded) == {"asmnet-open-68", "asmnet-open-face", "asmnet-open-face-verifier"}
    if what == "detector":
        stored = read_record(records.PACKAGE / records.MANIFEST, "asmnet-open-face-verifier")
        assert stored["metrics"]["300W common, recall %"]["command"].endswith(f"--weights {name}")
