"""Configs are read strictly, and what ships can be read."""

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from asmnet.errors import InvalidInputError
from asmnet.schemes import SCHEMES
from asmnet.training.config import (
    DetectorConfig,
    LandmarkConfig,
    VerifierConfig,
    read_config,
    read_landmark_config,
)
from asmnet.training.tables import read_table

CONFIGS = Path(__file__).parents[2] / "configs"
LANDMARKS = """
task = "landmarks"
model = "landmarknet"
late_epoch = 1
augmentation_strength = 0.5
late_augmentation_strength = 1
pose_weight = 4.0

[schedule]
epochs = 1
samples = 16
batch = 8
lr = 1e-3
warmup = 1
weight_decay = 0.01
ema = 0.9
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "path", sorted(CONFIGS.rglob("*.toml")), ids=lambda p: p.relative_to(CONFIGS).as_posix()
)
def test_every_config_can_be_read(path):
    kind: type = DetectorConfig if "face" in path.stem else LandmarkConfig
    assert isinstance(read_config(path), VerifierConfig if "verifier" in path.stem else kind)


def test_a_config_is_typed_and_frozen(tmp_path):
    config = read_config(write(tmp_path / "a.toml", "alphas = [1, 0.5]\n" + LANDMARKS))
    assert config.alphas == (1.0, 0.5)
    assert isinstance(config.late_augmentation_strength, float)
    assert (config.size, config.start, config.schedule.workers) == (112, None, 1)
    with pytest.raises(FrozenInstanceError):
        config.size = 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("label_ofset = 0.1", "label_ofset: no such key; did you mean label_offset?"),
        ("zzz = 1", "zzz: no such key; expected some of schedule, model, "),
        ("size = 96.0", "size: expected a whole number, got 96.0"),
        ("size = true", "size: expected a whole number, got True"),
        ("shear = true", "shear: expected a number, got True"),
        ("shear = inf", "shear: expected a number, got inf"),
        ('shear = "1"', "shear: expected a number, got '1'"),
        ("aligned_shapes = 1", "aligned_shapes: expected true or false, got 1"),
        ("start = 3", "start: expected a text, got 3"),
        ('only = "pose"', "only: expected a list, got 'pose'"),
        ('alphas = [1.0, "x"]', "alphas[1]: expected a number, got 'x'"),
        ('head = "map"', "head: expected one of 'maps', 'coarse-maps', "),
        ('trunk = "x"', "trunk: expected one of 'wide', 'quick', got 'x'"),
        ('scheme = "68"', "scheme: expected one of 'ibug68', 'wflw98', got '68'"),
        ("sampling_weights = 1", "sampling_weights: expected a table, got 1"),
        ('sampling_weights.300w = "x"', "sampling_weights.300w: expected a number, got 'x'"),
    ],
)
def test_what_a_config_may_not_say(tmp_path, line, message):
    path = write(tmp_path / "a.toml", f"{line}\n{LANDMARKS}")
    with pytest.raises(InvalidInputError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_the_schedule_is_read_as_strictly(tmp_path):
    path = write(tmp_path / "a.toml", LANDMARKS + "epoch = 3\n")
    with pytest.raises(InvalidInputError, match=r"schedule: epoch: no such key.* mean epochs"):
        read_config(path)
    write(path, LANDMARKS.replace("batch = 8\n", "").replace("lr = 1e-3\n", ""))
    with pytest.raises(InvalidInputError, match="schedule: expected batch, lr, got none"):
        read_config(path)


def test_a_config_names_its_task(tmp_path):
    path = write(tmp_path / "a.toml", LANDMARKS.replace('"landmarks"', '"landmark"'))
    with pytest.raises(
        InvalidInputError, match="task: expected one of landmarks, detection, verification, got"
    ):
        read_config(path)
    with pytest.raises(InvalidInputError, match="task: expected landmarks, got detection"):
        read_landmark_config(CONFIGS / "asmnet-face.toml")


def test_a_config_says_what_differs_from_another(tmp_path):
    (tmp_path / "more").mkdir()
    write(
        tmp_path / "a.toml", "alphas = [1.0]\nsize = 96\nsampling_weights.300w = 0.5\n" + LANDMARKS
    )
    write(
        tmp_path / "b.toml",
        'extends = "a.toml"\nsampling_weights.wflw = 0.2\n[schedule]\nseed = 5\n',
    )
    path = write(tmp_path / "more" / "c.toml", 'extends = "../b.toml"\nalphas = []\n')
    config = read_config(path)
    assert (config.alphas, config.size) == ((), 96)
    assert (config.schedule.seed, config.schedule.epochs) == (5, 1)
    assert config.sampling_weights == {"300w": 0.5, "wflw": 0.2}


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "a.toml"
    with pytest.raises(InvalidInputError, match=r"a\.toml: cannot be read: "):
        read_table(path)
    for text, message in (
        ("size 3", "expected TOML: "),
        ("extends = 3", "extends: expected the path of a file, got 3"),
        ('extends = "b.toml"', r"b\.toml: cannot be read: "),
        ('extends = "a.toml"', "extends: expected another file, got one that extends it"),
    ):
        write(path, text)
        with pytest.raises(InvalidInputError, match=message):
            read_table(path)


def test_a_config_may_name_every_head_and_trunk():
    pytest.importorskip("torch")
    from asmnet.training.nets.heads import HEADS
    from asmnet.training.nets.landmark_net import TRUNKS

    types = get_type_hints(LandmarkConfig)
    for key, known in {"head": HEADS, "trunk": TRUNKS, "scheme": SCHEMES}.items():
        assert set(get_args(types[key])) == set(known)
