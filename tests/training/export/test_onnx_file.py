"""Every config of the paper's table, from made faces to files that the library runs."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

from asmnet import FaceLandmarker  # noqa: E402
from asmnet.errors import InvalidInputError  # noqa: E402
from asmnet.geometry import points_box  # noqa: E402
from asmnet.image import crop_image, load_image  # noqa: E402
from asmnet.training import loop, provenance  # noqa: E402
from asmnet.training.cli import main  # noqa: E402
from asmnet.training.export import compress  # noqa: E402
from asmnet.training.landmarks import crops, samples, validate  # noqa: E402
from asmnet.training.nets.landmark_net import LandmarkNet  # noqa: E402
from asmnet.training.tables import read_table  # noqa: E402

# torch.jit is what its stable ONNX exporter uses; it says so in warnings.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

ROOT = Path(__file__).parents[3]
PAPER = [*sorted((ROOT / "configs" / "paper").glob("*.toml")), ROOT / "configs" / "atpn-68.toml"]
BOX = [[181, 88, 268, 179]]  # of the astronaut's face

TINY = {"epochs": 1, "samples": 16, "batch": 8, "warmup": 1, "workers": 0}
FROM_OTHERS = ("start", "teacher_labels")


def tiny(path: Path, folder: Path, **changes) -> Path:
    """A config with small numbers, from nothing: no other run and no teacher is needed."""
    table = read_table(path) | {"size": 64}
    schedule = table.pop("schedule") | TINY | changes
    lines = [f"{k} = {json.dumps(v)}" for k, v in table.items() if k not in FROM_OTHERS]
    lines += ["[schedule]", *(f"{k} = {json.dumps(v)}" for k, v in schedule.items())]
    copy = folder / "configs" / path.name
    copy.parent.mkdir(exist_ok=True)
    copy.write_text("\n".join(lines), encoding="utf-8")
    return copy


def names_in(folder: Path) -> dict[str, dict]:
    records = json.loads((folder / "weights_manifest.json").read_text(encoding="utf-8"))["weights"]
    return {record["name"]: record for record in records}


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_each_row_of_the_paper_s_table(path, data, tmp_path, photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = tiny(path, tmp_path)
    assert main(["fit", str(config), "--data", str(data), "--seed", "7"]) == 0
    run = tmp_path / "runs" / f"{path.stem}-seed7"
    assert {p.name for p in run.iterdir()} >= {"checkpoint.pt", "best.pt", "shapes.npz", "log.csv"}
    assert torch.load(run / "checkpoint.pt", weights_only=True)["schedule"]["seed"] == 7
    arguments = ["--seed", "7", "--data", str(data), "--best", "--out", "out"]
    assert main(["export", str(config), *arguments]) == 0
    record = names_in(tmp_path / "out")[f"{path.stem}-seed7"]
    assert record["training_config"] == f"configs/{path.name}"
    file = tmp_path / "out" / record["file"]
    (face,) = FaceLandmarker(file).predict(photos / "astronaut.png", BOX)
    # After two steps it still gives the mean shape, in the right place.
    assert np.abs(face.landmarks.mean(axis=0) - [223, 140]).max() < 25
    outputs = [output.name for output in onnx.load(file).graph.output]
    assert outputs == ["landmarks", "rotation", *(["presence"] if path.stem == "atpn-68" else [])]
    assert f"## {record['name']}" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    log = (run / "log.csv").read_text().splitlines()[0]
    assert ("presence_error" in log) == (path.stem == "atpn-68")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run of ASMNet that has learned a little, its config and the data."""
    folder = tmp_path_factory.mktemp("trained")
    config = tiny(ROOT / "configs" / "paper" / "asmnet-asm.toml", folder, samples=64)
    assert main(["fit", str(config), "--data", str(data), "--out", str(folder / "run")]) == 0
    return folder / "run", config


def test_compressed_files_tell_the_same(trained, data, tmp_path, photos, capsys):
    run, config = trained
    arguments = ["--run", str(run), "--data", str(data), "--out", str(tmp_path)]
    assert main(["export", str(config), *arguments, "--fp16", "--int8"]) == 0
    printed = capsys.readouterr().out
    assert len(re.findall(r"validation NME \d+\.\d+ %", printed)) == 3
    records = names_in(tmp_path)
    assert list(records) == ["asmnet-asm", "asmnet-asm-fp16", "asmnet-asm-int8"]
    sizes = [record["bytes"] for record in records.values()]
    assert sizes[1] < 0.55 * sizes[0]
    assert sizes[2] < 0.4 * sizes[0]
    assert len({record["parameters"] for record in records.values()}) == 1
    faces = {}
    for name, record in records.items():
        landmarker = FaceLandmarker(tmp_path / record["file"])
        (faces[name],) = landmarker.predict(photos / "astronaut.png", BOX)
    whole, half, eighth = (face.landmarks for face in faces.values())
    box_side = 91
    assert np.abs(half - whole).max() < 0.002 * box_side
    assert np.abs(eighth - whole).max() < 0.05 * box_side
    assert main(["table", str(tmp_path), "--data", str(data)]) == 0
    assert "| asmnet-asm-int8 | 64 × 64 | 1,414,046 |" in capsys.readouterr().out


def test_seeds_share_a_row_of_the_table(trained, data, tmp_path, capsys):
    run, config = trained
    for seed in ("1", "2"):
        arguments = ["--run", str(run), "--seed", seed, "--out", str(tmp_path)]
        assert main(["export", str(config), *arguments]) == 0
    capsys.readouterr()
    assert main(["table", str(tmp_path), "--data", str(data)]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(
        r"\| asmnet-asm \| 64 × 64 \| 1,414,046 \| [\d,]+ \| ([\d.]+), \1 "
        r"\| \1 ± 0\.00 \| [\d.]+ \|", row
    )  # fmt: skip


def test_int8_needs_photos(trained, tmp_path, capsys):
    run, config = trained
    assert main(["export", str(config), "--run", str(run), "--out", str(tmp_path), "--int8"]) == 1
    assert "--int8 needs --data" in capsys.readouterr().err


def test_a_run_without_best_weights_says_so(trained, tmp_path):
    with pytest.raises(InvalidInputError, match=r"best\.pt: not there"):
        loop.load_average(LandmarkNet(68, 112, 0.0), tmp_path, best=True)


def test_metadata(trained, data, tmp_path):
    run, config = trained
    subprocess.run(["git", "init", "--quiet", str(config.parent)], check=True)  # noqa: S607
    assert provenance.git_commit(config.parent) is None  # no commit yet
    arguments = ["-C", str(config.parent), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    command = ["git", *arguments, "commit", "--quiet", "--allow-empty", "-m", "first"]
    subprocess.run(command, check=True)
    assert main(["export", str(config), "--run", str(run), "--out", str(tmp_path)]) == 0
    file = onnx.load(tmp_path / "weights" / "asmnet-asm.onnx")
    metadata = {prop.key: prop.value for prop in file.metadata_props}
    assert re.fullmatch(r"[0-9a-f]{40}", metadata.pop("git_commit"))
    assert metadata == {
        "task": "landmarks",
        "training_config": "configs/asmnet-asm.toml",
        "scheme": "ibug68",
        "input_size": "64",
        "crop_margin": "1.25",
    }


def test_weights_beyond_float16_stay():
    initialisers = {"fits": np.full((2, 2), 0.1, np.float32), "large": np.eye(2) * np.float32(1e5)}
    helper = onnx.helper
    nodes = [helper.make_node("Add", ["x", "fits"], ["y"]),
             helper.make_node("Add", ["y", "large"], ["z"])]  # fmt: skip
    value = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [2, 2]) for n in "xz"]
    tensors = [onnx.numpy_helper.from_array(v, n) for n, v in initialisers.items()]
    model = helper.make_model(helper.make_graph(nodes, "g", value[:1], value[1:], tensors))
    compress.store_float16(model)
    onnx.checker.check_model(model)
    assert [t.name for t in model.graph.initializer] == ["fits_float16", "large"]
    assert [n.op_type for n in model.graph.node] == ["Cast", "Add", "Add"]


class Epochs(torch.utils.data.Dataset):
    """Two batches of one sample; training is stopped when asked."""

    stop_at = None

    def __len__(self):
        return 2

    def __getitem__(self, index):
        if self.epoch == self.stop_at:
            raise KeyboardInterrupt
        return (torch.ones(1),)


def fit(folder, figures, *, resume=False, stop_at=None):
    schedule = loop.Schedule(
        epochs=len(figures), samples=2, batch=1, lr=0.1, warmup=0, weight_decay=0.0, ema=0.5,
        seed=0, workers=0, bfloat16=False,
    )  # fmt: skip
    dataset = Epochs()
    dataset.stop_at = stop_at
    torch.manual_seed(0)
    return loop.fit(
        torch.nn.Linear(1, 1), dataset, lambda m, b, _: {"loss": m(b[0]).square().mean()},
        lambda _: {"nme": figures[dataset.epoch]}, schedule=schedule, folder=folder,
        resume=resume, best_figure="nme",
    )  # fmt: skip


def test_the_best_epoch_is_kept_also_over_a_kill(tmp_path):
    figures = [5.0, 3.0, 4.0, 3.5]
    fit(tmp_path / "whole", figures)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "broken", figures, stop_at=2)
    fit(tmp_path / "broken", figures, resume=True)
    best = [loop.load_average(torch.nn.Linear(1, 1), tmp_path / run, best=True).state_dict()
            for run in ("whole", "broken")]  # fmt: skip
    last = loop.load_average(torch.nn.Linear(1, 1), tmp_path / "whole").state_dict()
    assert all(torch.equal(best[0][k], best[1][k]) for k in last)
    assert not torch.equal(best[0]["weight"], last["weight"])
    kept = torch.load(tmp_path / "broken" / "best.pt", weights_only=True)
    assert (kept["epoch"], kept["value"]) == (2, 3.0)


def test_a_fresh_run_forgets_the_best_of_an_older_one(tmp_path):
    fit(tmp_path, [1.0])
    fit(tmp_path, [2.0])
    assert torch.load(tmp_path / "best.pt", weights_only=True)["value"] == 2.0


class Plain:
    """Random numbers without randomness: the label box, upright, nothing changed."""

    def random(self):
        return 0.9

    def normal(self, mean=0.0, _deviation=1.0, size=None):
        return mean if size is None else np.full(size, mean)


def dataset(face, **options):
    return crops.CropDataset(
        {"300w": [face]}, [face.image], size=112, margin=1.25, late_epoch=1,
        augmentation_strength=1.0, late_augmentation_strength=1.0, length=40, seed=0, **options,
    )  # fmt: skip


def training_face(photos):
    image = load_image(photos / "astronaut.png")
    points = np.array([[181.0, 88], [268, 179], *np.tile([225.0, 140], (66, 1))])
    return samples.TrainingFace(image, points, points, points, np.eye(3), np.zeros(4), 0.0, "300w")


def test_the_sample_that_training_sees_is_the_crop_of_inference(photos, monkeypatch):
    """The whole way of a sample, with all randomness switched off."""
    landmarker = FaceLandmarker("asmnet-68-lite")  # of the size and margin of dataset()
    seen = []
    outputs = [np.zeros((1, 68, 2)), np.eye(3)[None], np.zeros((1, 68)), np.zeros(1)]
    monkeypatch.setattr(landmarker._session, "run", lambda crops: seen.append(crops) or outputs)
    monkeypatch.setattr(crops, "photometric", lambda image, _: image)
    face = training_face(photos)
    landmarker.predict(face.image, points_box(face.outline)[None])
    crop, points, _, rotation = dataset(face).sample(face, Plain())
    assert np.array_equal(crop, seen[0][0])
    assert points[:2].mean(axis=0) == pytest.approx([56, 56])  # the box's corners
    assert np.array_equal(rotation, np.eye(3))


def test_crops_without_a_face(photos):
    face = training_face(photos)
    background = np.full((200, 300, 3), 77, np.uint8)
    crops = dataset(face, empty_share=0.5, backgrounds=[background])
    crops.epoch = 0
    samples = [crops[i] for i in range(len(crops))]
    assert all(len(sample) == 6 for sample in samples)
    labelled, present = (torch.stack([sample[i] for sample in samples]) for i in (3, 5))
    assert torch.equal(labelled, present)
    assert 10 < present.sum() < 30
    empty = [s for s in samples if not s[5]]
    assert all(s[0].shape == (112, 112, 3) for s in empty)
    assert not any(s[1].any() for s in empty)
    # About half of them show the background, which is of one colour.
    flat = sum(s[0].float().std(dim=(0, 1)).max() < 20 for s in empty)
    assert 2 < flat < len(empty) - 2


def test_without_empty_crops_the_samples_stay_what_they_were(photos):
    face = training_face(photos)
    plain, prepared = dataset(face), dataset(face, backgrounds=[face.image])
    assert all(torch.equal(a, b) for a, b in zip(plain[3], prepared[3], strict=True))


def test_lost_crops_are_beside_the_face(photos):
    face = training_face(photos)
    crops = [validate._lost_crop(face, i, 112, 1.25) for i in range(10)]
    centres = np.array([crop.apply(face.outline[2]) for crop in crops])
    assert (np.linalg.norm(centres - 56, axis=1) > 0.85 * 112 / 1.25).all()
    assert len({crop_image(face.image, crop).tobytes() for crop in crops}) == len(crops)
