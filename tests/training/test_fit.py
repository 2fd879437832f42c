"""From data to a network that the library runs, on made faces; and what a kill costs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from asmnet import FaceDetector, FaceLandmarker  # noqa: E402
from asmnet.geometry import CropTransform, points_box  # noqa: E402
from asmnet.image import crop_image, load_image  # noqa: E402
from asmnet.schemes import IBUG_68, WFLW_98  # noqa: E402
from asmnet.training.cli import main  # noqa: E402
from asmnet.training.landmarks import crops, losses, samples, validate  # noqa: E402
from asmnet.training.loop import Schedule, average_weights, fit  # noqa: E402
from asmnet.training.nets.asmnet import ASMNet  # noqa: E402
from asmnet.training.nets.blocks import rotation_from_6d  # noqa: E402
from asmnet.training.nets.count import count_parameters  # noqa: E402
from asmnet.verifier import FaceVerifier  # noqa: E402

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
samples = 16
batch = 8
lr = 1e-3
warmup = 1
weight_decay = 0.01
ema = 0.9
seed = 3
workers = 0
bfloat16 = true
"""
CONFIGS = {
    "tiny-face": 'task = "detection"\nsize = 64\nscore_floor = 0.5\nmine = true\n'
    "validate_every = 1\n[mosaics]\nrotated_share = 0.5\nmax_rotation = 60.0\n",
    "tiny-68": 'task = "landmarks"\ndetector = "asmnet-face"\nsize = 64\ncrop_margin = 1.25\n'
    "kept_variance = 0.9\ndropout = 0.1\nlate_epoch = 1\n"
    "augmentation_strength = 1.0\nlate_augmentation_strength = 0.5\n"
    "alphas = [2.0, 0.5]\nshear = 0.1\n"
    'pose_weight = 4.0\nmodel = "landmarknet"\ncorrection_ridge = 0.05\n',
}
CONFIGS["tiny-verifier"] = 'task = "verification"\nsize = 32\ncandidate_score = 0.1\n'
CONFIGS["tiny-98"] = CONFIGS["tiny-68"] + (
    'scheme = "wflw98"\ntrunk = "quick"\nhead = "simcc"\ncorrection_components = 4\n'
)


def train_and_export(name: str, data: Path, folder: Path) -> Path:
    config = folder / f"{name}.toml"
    config.write_text(CONFIGS[name] + SCHEDULE)
    run = folder / "run"
    assert main(["fit", str(config), "--data", str(data), "--out", str(run)]) == 0
    arguments = ["--run", str(run), "--out", str(folder), "--data", str(data)]
    assert main(["export", str(config), *arguments]) == 0
    assert (run / "log.csv").read_text().count("\n") == 2
    assert (run / "curve.png").exists()
    record = json.loads((folder / "weights_manifest.json").read_text())["weights"][0]
    assert record["name"] == name
    assert record["run"]["data"]["300w"]["files"] > 0
    assert record["run"]["seed"] == 3
    return folder / record["file"]


def test_detector_from_data_to_use(data, tmp_path, photos):
    path = train_and_export("tiny-face", data, tmp_path)
    FaceDetector(path, input_size=64, min_score=0.01).detect(photos / "astronaut.png")


def test_verifier_from_data_to_use(data, tmp_path, photos):
    path = train_and_export("tiny-verifier", data, tmp_path)
    boxes = np.array([[181.0, 88, 268, 179], [20, 30, 60, 70]])
    found, scores, keypoints = FaceVerifier(path).look(load_image(photos / "astronaut.png"), boxes)
    # After two steps it has learnt next to nothing: boxes stay near those that it was given.
    assert np.abs(found - boxes).max() < 60
    assert ((scores > 0) & (scores < 1)).all()
    assert keypoints.shape == (2, 5, 2)
    FaceDetector(verifier=path, min_score=0.01).detect(photos / "astronaut.png")


def test_landmarker_from_data_to_use(data, tmp_path, photos):
    path = train_and_export("tiny-68", data, tmp_path)
    landmarker = FaceLandmarker(path)
    (face,) = landmarker.predict(photos / "astronaut.png", [[181, 88, 268, 179]])
    # After two steps it still gives the mean shape, in the right place.
    assert np.abs(face.landmarks.mean(axis=0) - [223, 140]).max() < 25
    assert face.confidence.shape == (68,)
    assert 0 <= face.confidence.min() <= face.confidence.max() <= 1
    assert 0 <= face.presence <= 1


def test_98_points_from_wflw_to_a_score(data_98, tmp_path, photos):
    """As a user's download goes: fit, export, use, evaluate."""
    path = train_and_export("tiny-98", data_98, tmp_path)
    (face,) = FaceLandmarker(path).predict(photos / "astronaut.png", [[181, 88, 268, 179]])
    assert face.scheme is WFLW_98
    assert face.landmarks.shape == (98, 2)
    assert face.confidence.shape == (98,)
    report = tmp_path / "report"
    arguments = ["--weights", str(path), "--data", str(data_98), "--report", str(report)]
    assert main(["evaluate", "landmarks", "--set", "wflw", *arguments]) == 0
    assert "WFLW" in (report / "table.md").read_text()


def test_a_plain_download_of_300w_to_a_score(data, tmp_path):
    """Photos and .pts files only: no pseudo-labels of rotations, no other sets."""
    plain = tmp_path / "data"
    for path in (data / "300w").rglob("*_1.*"):
        copy = plain / path.relative_to(data)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    path = train_and_export("tiny-68", plain, tmp_path)
    report = tmp_path / "report"
    arguments = ["--weights", str(path), "--data", str(plain), "--report", str(report)]
    assert main(["evaluate", "landmarks", "--set", "300w", *arguments]) == 0
    assert "300W common, faces | 5" in (report / "table.md").read_text()


def test_spreads_need_photos_to_become_confidences(data, tmp_path, capsys):
    config = tmp_path / "tiny-68.toml"
    config.write_text(CONFIGS["tiny-68"] + SCHEDULE)
    run = tmp_path / "run"
    assert main(["fit", str(config), "--data", str(data), "--out", str(run)]) == 0
    for text, message in (
        (config.read_text(), "expected data to fit its correction"),
        (config.read_text().replace("correction_ridge = 0.05\n", ""), "expected data to calibrate"),
    ):
        config.write_text(text)
        assert main(["export", str(config), "--run", str(run), "--out", str(tmp_path)]) == 1
        assert message in capsys.readouterr().err


class Counting(torch.utils.data.Dataset):
    """Samples that depend on epoch and index; can fail in the middle as a kill would."""

    def __init__(self) -> None:
        self.epoch, self.fails = 0, False

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int):
        if self.fails and self.epoch == 1 and index == 5:
            raise KeyboardInterrupt
        return (torch.randn(4, generator=torch.Generator().manual_seed(100 * self.epoch + index)),)


def test_resuming_after_a_kill_gives_the_weights_of_an_unbroken_run(tmp_path):
    schedule = Schedule(epochs=3, samples=8, batch=4, lr=0.01, warmup=2, weight_decay=0.1,
                        ema=0.9, seed=0, workers=0, bfloat16=True)  # fmt: skip

    def train(folder: Path, dataset: Counting, *, resume: bool) -> list[torch.Tensor]:
        torch.manual_seed(schedule.seed)
        layers = (torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5))
        model = fit(
            torch.nn.Sequential(*layers), dataset,
            lambda m, batch, _: {"loss": (m(batch[0]).float() - 1).square().mean()},
            lambda _: {"figure": 1.0}, schedule=schedule, folder=folder, resume=resume,
        )  # fmt: skip
        return list(model.state_dict().values())

    whole = train(tmp_path / "whole", Counting(), resume=False)
    broken = Counting()
    broken.fails = True
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", broken, resume=False)
    resumed = train(tmp_path / "broken", Counting(), resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("whole", "broken")]
    assert len(logs[0]) == len(logs[1]) == 4
    assert [row.split(",")[0] for row in logs[1]] == ["epoch", "1", "2", "3"]


SHARED = """
import sys
from pathlib import Path

import torch

from asmnet.training.loop import Schedule, fit


class Numbers(torch.utils.data.Dataset):
    epoch = 0

    def __len__(self):
        return 16

    def __getitem__(self, index):
        return (torch.randn(4, generator=torch.Generator().manual_seed(index)),)


torch.manual_seed(0)
schedule = Schedule(epochs=2, samples=16, batch=8, lr=0.01, warmup=1, weight_decay=0.1,
                    ema=0.5, seed=0, workers=0, bfloat16=False)
fit(torch.nn.Linear(4, 3), Numbers(), lambda m, b, _: {"loss": (m(b[0]) - 1).square().mean()},
    lambda _: {"figure": 1.0}, schedule=schedule, folder=Path(sys.argv[1]), resume=False)
"""


def test_processes_that_share_the_work_end_with_the_weights_of_one(tmp_path):
    """The mean of the gradients of a batch's halves is the gradient of the batch."""
    script, one, two = (tmp_path / name for name in ("shared.py", "one", "two"))
    script.write_text(SHARED)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for options, folder in (([], one), (launch, two)):
        subprocess.run(
            [sys.executable, *options, str(script), str(folder)], check=True, timeout=300,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    assert (two / "log.csv").read_text().count("\n") == 3
    start = torch.nn.Linear(4, 3)
    for name, weights in average_weights(one).items():
        assert torch.allclose(weights, average_weights(two)[name], atol=1e-6)
        assert not torch.allclose(weights, start.state_dict()[name], atol=1e-2)


def test_processes_that_cannot_share_a_batch_are_told(data, tmp_path, monkeypatch, capsys):
    config = tmp_path / "tiny-68.toml"
    config.write_text(CONFIGS["tiny-68"] + SCHEDULE)
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert main(["fit", str(config), "--data", str(data), "--out", str(tmp_path / "run")]) == 1
    assert "3 processes can share, got 8 and 16" in capsys.readouterr().err


def test_the_crop_of_training_is_the_crop_of_inference(photos, monkeypatch):
    image = load_image(photos / "astronaut.png")
    landmarker = FaceLandmarker()
    seen, nothing = [], [np.zeros((1, 68, 2)), np.eye(3)[None], np.zeros((1, 68)), np.zeros(1)]
    monkeypatch.setattr(
        landmarker._session, "run",
        lambda crops: seen.append(crops) or nothing,
    )  # fmt: skip
    outline = np.array([[181.0, 88], [268, 179]])
    landmarker.predict(image, [outline.ravel()])
    face = samples.TrainingFace(image, outline, None, None, np.eye(3), np.zeros(4), 0.0, "300w")
    size, margin = landmarker._crop_size, landmarker._crop_margin
    transform = validate._crop(face, size, margin, with_offset=False)
    assert np.array_equal(seen[0][0], crop_image(image, transform))


def dataset_of(face, **options):
    return crops.CropDataset(
        {"300w": [face]},
        [face.image],
        size=112,
        margin=1.25,
        late_epoch=1,
        augmentation_strength=1.0,
        late_augmentation_strength=0.5,
        length=1,
        seed=0,
        **options,
    )


def test_augmented_landmarks_stay_on_their_pixels():
    """Bright dots at the points are still under the points after every geometric change."""
    rng = np.random.default_rng(0)
    image = np.zeros((200, 200, 3), np.uint8)
    points = np.random.default_rng(1).uniform(70, 130, (68, 2))
    for x, y in points:
        cv2.circle(image, (round(x), round(y)), 2, (255, 255, 255), -1)
    face = samples.TrainingFace(image, points, points, points, np.eye(3), np.zeros(4), 0.0, "300w")
    dataset = dataset_of(face)
    dark = 0
    for _ in range(30):
        transform, _ = dataset._random_crop(face, 1.0, rng)
        crop, mapped = crop_image(image, transform), transform.apply(points)
        inside = ((mapped > 1) & (mapped < 110)).all(axis=1)
        columns, rows = mapped[inside].round().astype(int).T
        dark += (crop[rows, columns, 0] < 100).sum()
    assert dark < 30


def test_sampling_weights_take_the_place_of_the_usual_shares():
    dark, bright = (
        samples.TrainingFace(
            np.full((200, 200, 3), value, np.uint8), np.array([[70.0, 70], [130, 130]]), None, None,
            np.eye(3), np.zeros(4), 0.0, "300w",
        )
        for value in (0, 255)
    )  # fmt: skip
    for shares, expected in (((0.0, 1.0), {255}), ((1.0, 0.0), {0}), ((0.5, 0.5), {0, 255})):
        sampling_weights = dict(zip(("300w", "pointing04"), shares, strict=True))
        dataset = dataset_of(dark, sampling_weights=sampling_weights)
        dataset.sets["pointing04"] = [bright]
        rng = np.random.default_rng(0)
        assert {int(dataset._face(rng).image[0, 0, 0]) for _ in range(20)} == expected


def test_mirrored_samples_keep_the_scheme(data):
    rng = np.random.default_rng(0)
    points = np.zeros((68, 2))
    points[IBUG_68.groups["right_eye"]] = [60, 90]
    points[IBUG_68.groups["left_eye"]] = [120, 90]
    points[8] = [90, 160]
    points[27] = [90, 60]
    image = np.zeros((200, 200, 3), np.uint8)
    face = samples.TrainingFace(image, points, points, points, np.eye(3), np.zeros(4), 0.0, "300w")
    dataset = dataset_of(face)
    for _ in range(20):
        _, mapped, _, _ = dataset.sample(face, rng)
        # The subject's right eye is left of the left eye unless the crop is upside down.
        down = mapped[8] - mapped[27]
        across = mapped[45] - mapped[36]
        assert across[0] * down[1] - across[1] * down[0] > 0


@pytest.mark.parametrize(("source", "own"), [("300w", 0.009), ("youtube_faces", 0.0)])
def test_labels_lie_to_the_right_in_mirrored_samples_too(source, own):
    points = np.random.default_rng(1).uniform(70, 130, (68, 2))
    image = np.zeros((200, 200, 3), np.uint8)
    face = samples.TrainingFace(image, points, points, points, np.eye(3), np.zeros(4), 0.0, source)
    for mirrored in (False, True):
        transform = CropTransform.from_bbox(points_box(points), 112, margin=1.25)
        place = [
            dataset_of(face, label_offset=offset)._in_crop(
                points, source, transform, mirrored=mirrored
            )
            for offset in (None, 0.009)
        ]
        moved = place[1] - place[0]
        eyes = np.linalg.norm(place[0][36] - place[0][45])
        expected = 0.009 - (-own if mirrored else own)
        assert moved == pytest.approx(np.tile([expected * eyes, 0], (68, 1)), abs=1e-9)


def test_wide_boxes_are_a_share_of_their_own():
    points = np.random.default_rng(1).uniform(70, 130, (68, 2))
    image = np.zeros((200, 200, 3), np.uint8)
    face = samples.TrainingFace(image, points, points, points, np.eye(3), np.zeros(4), 0.0, "300w")

    def spread(share):
        dataset, rng = dataset_of(face, wide_boxes=share), np.random.default_rng(0)
        crops = [dataset._random_crop(face, 0.0, rng)[0] for _ in range(200)]
        return np.std([crop.apply(points).mean(axis=0) for crop in crops], axis=0)

    assert (spread(1.0) > 2 * spread(0.0)).all()


def test_asmnet_has_the_size_of_the_paper():
    model = ASMNet(torch.zeros(68, 2), dropout=0.3)
    assert count_parameters(model) == pytest.approx(1.43e6, rel=0.02)
    assert model.landmark_head.in_features == 536


def test_six_numbers_give_rotations():
    rotations = rotation_from_6d(torch.randn(20, 6, generator=torch.Generator().manual_seed(0)))
    identity = rotations @ rotations.transpose(1, 2)
    assert torch.allclose(identity, torch.eye(3).expand(20, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(rotations), torch.ones(20), atol=1e-5)


def test_wing_loss_is_continuous():
    error = torch.tensor([10 - 1e-4, 10 + 1e-4])
    low, high = losses.wing(error).tolist()
    assert low == pytest.approx(high, abs=1e-3)
    assert losses.wing(torch.tensor(2.0)).item() == pytest.approx(10 * np.log(2))
