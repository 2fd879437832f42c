"""An open config reads what anyone may use, and nothing else."""

import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_data import FACE, shape_68

from asmnet.datasets.licences import LICENCES
from asmnet.datasets.splits import part_of
from asmnet.errors import InvalidInputError
from asmnet.verifier import FaceVerifier
from asmnet.weights import PACKAGE

pytest.importorskip("torch")

from asmnet.training.cli import main
from asmnet.training.config import read_config
from asmnet.training.licensing import check_config, read_open_run

# torch.jit is what its stable ONNX exporter uses; it says so in warnings.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

SCHEDULE = """
[schedule]
epochs = 1
samples = 8
batch = 4
lr = 1e-3
warmup = 1
weight_decay = 0.01
ema = 0.9
workers = 0
"""
LANDMARKS = """
open = true
task = "landmarks"
model = "landmarknet"
size = 64
late_epoch = 1
augmentation_strength = 0.5
late_augmentation_strength = 0.5
pose_weight = 4.0
empty_share = 0.3
"""
DETECTION = 'open = true\ntask = "detection"\nsize = 64\n'
BARE = json.dumps({"person": {"headwear": "none", "glasses": "none"}})
SOURCES = "file,source,repository,licence,terms\n" + "".join(
    f"{i}.jpg,18f,18F/site,CC0 1.0,open: CC0\n{i}x.jpg,osie,NUS/osie,none,not stated\n"
    for i in range(12)
)


@pytest.fixture(scope="module")
def open_data(data, tmp_path_factory) -> Path:
    """Open sets beside research sets."""
    root = tmp_path_factory.mktemp("open")
    for path in data.iterdir():
        (root / path.name).symlink_to(path)
    rng = np.random.default_rng(0)
    names = [f"{i:08}.jpg" for i in range(24)]

    def photo(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (160, 160, 3), dtype=np.uint8))

    for name in names:
        photo(root / "synthetic" / "images" / name)
    np.savez(
        root / "synthetic" / "labels.npz",
        name=np.array(names),
        points68=np.array([shape_68(rng) for _ in names]),
        points98=np.zeros((24, 98, 2)),
        rotation=np.tile(np.eye(3), (24, 1, 1)),
        attributes=np.array([BARE] * 24),
    )
    for i in range(12):
        photo(root / "crowds" / "images" / f"{i}.jpg")
        photo(root / "crowds" / "images" / f"{i}x.jpg")
        photo(root / "open" / "fairface" / f"{i}.jpg")
    (root / "crowds" / "sources.csv").write_text(SOURCES)
    header = "file,x0,y0,x1,y1,a,b,c,d,e,f,g,h,i,j,score\n"
    box = f"{FACE[0]},{FACE[1]},{FACE[0] + FACE[2]},{FACE[1] + FACE[3]}"
    points = "60,70,100,70,80,90,65,110,95,110"
    rows = "".join(f"fairface/{i}.jpg,{box},{points},0.9\n" for i in range(12))
    (root / "open" / "faces.csv").write_text(header + rows)
    return root


def opened(name: str, folder: Path) -> str:
    """A copy of bundled weights that a manifest beside it calls open."""
    path = folder / name / "weights" / "ours.onnx"
    path.parent.mkdir(parents=True)
    shutil.copyfile(PACKAGE / "weights" / f"{name}.onnx", path)
    with path.open("ab") as file:  # other bytes than those of the closed weights
        file.write(b"\x52\x00")  # an empty field that ONNX leaves out
    content = {"schema_version": 1, "weights": [
        {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "license": "Apache-2.0"}
    ]}  # fmt: skip
    (folder / name / "weights_manifest.json").write_text(json.dumps(content))
    return str(path)


def write(folder: Path, text: str) -> Path:
    path = folder / "tiny.toml"
    path.write_text(text + SCHEDULE)
    return path


def test_landmarks_are_learnt_from_open_sets_only(open_data, tmp_path, monkeypatch):
    monkeypatch.setattr("asmnet.detector.FaceVerifier", None)  # closed: not to be asked
    config = write(tmp_path, f'detector = "{opened("asmnet-face", tmp_path)}"\n' + LANDMARKS)
    run = tmp_path / "run"
    assert main(["fit", str(config), "--data", str(open_data), "--out", str(run)]) == 0
    # Photos of crowds without a face are backgrounds.
    crowds, synthetic = read_open_run(run)["sets"]
    assert (crowds["name"], synthetic["name"]) == ("crowds/18f", "synthetic")
    assert synthetic["photos"] == 24
    assert "pose_pointing04" not in (run / "log.csv").read_text()
    assert "nme_label" in (run / "log.csv").read_text()


def test_a_detector_learns_from_open_photos_only(open_data, tmp_path):
    run = tmp_path / "run"
    text = f'labeller = "{opened("asmnet-68-lite", tmp_path)}"\n' + DETECTION
    config = write(tmp_path, text)
    assert main(["fit", str(config), "--data", str(open_data), "--out", str(run)]) == 0
    assert {item["name"]: item["open"] for item in read_open_run(run)["sets"]} == {
        "crowds/18f": True,
        "open/fairface": True,
        "synthetic": True,
    }
    # What is exported is open as well, and a next open run may start from it.
    arguments = ["--run", str(run), "--out", str(tmp_path), "--data", str(open_data)]
    assert main(["export", str(config), *arguments]) == 0
    (record,) = json.loads((tmp_path / "weights_manifest.json").read_text())["weights"]
    assert record["license"] == "Apache-2.0"
    assert [set_["name"] for set_ in record["data_sets"]] == [
        "crowds/18f", "open/fairface", "synthetic",
    ]  # fmt: skip
    photos = sorted(f"fairface/{i}.jpg" for i in range(12))
    photos = [name for name in photos if part_of(name) == "train"]
    names = "".join(f"{name}\n" for name in photos)
    assert record["data_sets"][1] == {
        "name": "open/fairface", "licence": "CC BY 4.0", "photos": len(photos),
        "evidence": LICENCES["open/fairface"].evidence,
        "creator": LICENCES["open/fairface"].creator, "url": LICENCES["open/fairface"].url,
        "sha256": hashlib.sha256(names.encode()).hexdigest(),
    }  # fmt: skip
    assert record["teachers"] == [
        {"role": "boxes of the photos", "name": "yunet", "licence": "MIT"},
        {"role": "labeller", "name": "ours.onnx", "licence": "Apache-2.0"},
    ]
    assert record["training_data"][1] == f"open/fairface (CC BY 4.0), {len(photos)} photos"
    assert record["training_data"][3] == "yunet (MIT): boxes of the photos"
    # A run that starts from it has learnt from its photos, too, whatever it reads itself.
    further = write(tmp_path, f'start = "{run}"\n{text}')
    (open_data / "synthetic").rename(open_data / "away")
    try:
        arguments = ["--data", str(open_data), "--out", str(tmp_path / "further")]
        assert main(["fit", str(further), *arguments]) == 0
    finally:
        (open_data / "away").rename(open_data / "synthetic")
    assert [s["name"] for s in read_open_run(tmp_path / "further")["sets"]] == [
        "crowds/18f", "open/fairface", "synthetic",
    ]  # fmt: skip


def test_a_closed_run_says_so_and_an_open_one_does_not_start_from_it(open_data, tmp_path):
    run = tmp_path / "run"
    closed = write(tmp_path, DETECTION.replace("open = true\n", ""))
    assert main(["fit", str(closed), "--data", str(open_data), "--out", str(run)]) == 0
    read = json.loads((run / "run.json").read_text())
    assert read["open"] is False
    assert {"300w", "pointing04", "crowds/osie", "backgrounds"} <= {
        s["name"] for s in read["licences"]
    }
    text = f'labeller = "{opened("asmnet-68-lite", tmp_path)}"\nstart = "{run}"\n'
    config = read_config(write(tmp_path, text + DETECTION))
    with pytest.raises(
        InvalidInputError, match=r"^start: .* expected a run of an open config, .* got a closed"
    ):
        check_config(config)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "^detector: expected weights under .* got asmnet-face: research use only"),
        (
            'detector = "yunet"\nsampling_weights.300w = 1.0',
            "^sampling_weights: expected sets .*, got 300w$",
        ),
        ('detector = "yunet"\nsampling_weights.wflw = 1.0\nsampling_weights.open = 1', "got wflw$"),
        (
            'detector = "yunet"\nstart = "asmnet-68"\nstart_config = "a.toml"',
            "^start: expected weights under .* got asmnet-68: research use only",
        ),
        ('detector = "yunet"\nstart = "runs/none"', "^start: runs/none: expected a run of an open"),
        ('detector = "yunet"\nteacher_labels = "none.npz"', "^teacher_labels: expected a label"),
    ],
)
def test_what_an_open_config_may_not_name(tmp_path, lines, message):
    config = read_config(write(tmp_path, f"{lines}\n{LANDMARKS}"))
    with pytest.raises(InvalidInputError, match=message):
        check_config(config)


def test_an_open_verifier_weighs_scores_as_open_photos_show(open_data, tmp_path, monkeypatch):
    text = f"""open = true
task = "verification"
size = 32
candidate_score = 0.05
detector = "{opened("asmnet-face", tmp_path)}"
labeller = "{opened("asmnet-68-lite", tmp_path)}"
"""
    config, run = write(tmp_path, text), tmp_path / "run"
    assert main(["fit", str(config), "--data", str(open_data), "--out", str(run)]) == 0
    arguments = ["export", str(config), "--run", str(run), "--out", str(tmp_path)]
    assert main(arguments) == 1  # without data
    asked = {}

    def fitted(data, **options):
        asked.update(options)
        return np.array([1.25, 0.5, 0, -2])

    monkeypatch.setattr("asmnet.training.export.onnx_file.fitted_weights", fitted)
    assert main([*arguments, "--data", str(open_data), "--overwrite"]) == 0
    assert asked["open_only"]
    assert asked["detector"] == read_config(config).detector
    verifier = FaceVerifier(tmp_path / "weights" / "tiny.onnx")
    assert verifier.score_weights == (1.25, 0.5, 0, -2)
    (record,) = json.loads((tmp_path / "weights_manifest.json").read_text())["weights"]
    content = (tmp_path / "weights" / "tiny.onnx").read_bytes()
    assert record["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_verifier_of_a_closed_detector_is_refused(tmp_path):
    config = read_config(write(tmp_path, 'open = true\ntask = "verification"\n'))
    with pytest.raises(
        InvalidInputError, match=r"^detector: .* got asmnet-face: research use only"
    ):
        check_config(config)


def test_a_closed_labeller_is_refused(tmp_path):
    config = read_config(write(tmp_path, DETECTION))
    with pytest.raises(InvalidInputError, match=r"^labeller: .* got asmnet-68: research use only"):
        check_config(config)


def test_open_sets_may_be_mixed(tmp_path):
    lines = 'detector = "yunet"\nsampling_weights.open = 0.6\nsampling_weights.synthetic = 0.4\n'
    check_config(read_config(write(tmp_path, lines + LANDMARKS)))


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ({"teacher": "asmnet-98"}, "^teacher_labels: .* got asmnet-98: research use only"),
        ({}, "^teacher_labels: expected a file that names its teacher"),
        (
            {"teacher": "mediapipe", "detector": "asmnet-face"},
            "^teacher_labels: .* got asmnet-face: research use only",
        ),
        ({"teacher": "mediapipe"}, None),
        # What a file says itself holds, wherever its teacher is by now.
        ({"teacher": "gone.onnx", "teacher_licence": "Apache-2.0"}, None),
        (
            {"teacher": "gone.onnx", "teacher_licence": "unknown"},
            "^teacher_labels: .* got gone.onnx: unknown",
        ),
        (
            {
                "teacher": "mediapipe",
                "detector": "a.onnx",
                "detector_licence": "MIT",
                "verifier": "asmnet-face-verifier",
                "verifier_licence": "research use only",
            },
            "^teacher_labels: .* got asmnet-face-verifier: research use only",
        ),
    ],
)
def test_labels_of_a_closed_teacher_are_refused(tmp_path, teacher, message):
    labels = tmp_path / "labels.npz"
    np.savez(labels, source=np.array(["open"]), **teacher)
    text = f'detector = "yunet"\nteacher_labels = "{labels}"\n{LANDMARKS}'
    config = read_config(write(tmp_path, text))
    if message is None:
        check_config(config)
    else:
        with pytest.raises(InvalidInputError, match=message):
            check_config(config)


def test_the_command_refuses_before_it_reads(tmp_path, capsys):
    config = write(tmp_path, LANDMARKS)
    assert main(["fit", str(config), "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err.startswith("asmnet-train: detector: expected weights under")
    assert not (tmp_path / "run").exists()
