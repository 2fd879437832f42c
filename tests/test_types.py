"""Records to plain dictionaries, JSON, and back."""

import json
from dataclasses import fields

import jsonschema
import numpy as np
import pytest

import asmnet
from asmnet.cli import main
from asmnet.geometry import euler_to_rotation
from asmnet.schemes import WFLW_TO_IBUG
from asmnet.weights import PACKAGE

SCHEMA = json.loads((PACKAGE / "results.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def face(photos):
    return asmnet.detect(photos / "astronaut.png")[0]


def same(a, b):
    for field in fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype
            assert np.array_equal(x, y)
        elif field.name == "pose":
            same(x, y)
        else:
            assert x == y


def test_a_face_survives_json(face):
    same(face, asmnet.Face.from_dict(json.loads(json.dumps(face.to_dict()))))


def test_a_detection_survives_json(photos):
    detection = asmnet.FaceDetector(threads=1).detect(photos / "astronaut.png")[0]
    again = json.loads(json.dumps(detection.to_dict()))
    jsonschema.validate(
        again, SCHEMA | {"type": "object", "items": {}, "$ref": "#/$defs/Detection"}
    )
    same(detection, asmnet.Detection.from_dict(again))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("scheme", "ibug5", 'expected "ibug68" or "wflw98", got .ibug5'),
        ("bbox", [1, 2, 3], "bbox: expected finite numbers of shape \\(4,\\)"),
        ("landmarks", [[1, 2]], "landmarks: expected finite numbers of shape \\(68, 2\\)"),
        ("landmarks", "none", "landmarks: expected numbers"),
        ("score", "good", "score: expected a finite number, got 'good'"),
        ("confidence", [0.5], "confidence: expected finite numbers of shape \\(68,\\)"),
        ("presence", "yes", "presence: expected a finite number"),
        ("track_id", [1], "track_id: expected an int from 0 on"),
        ("pose", None, "expected a mapping with the key 'pitch', got None"),
    ],
)
def test_a_broken_dictionary_says_what_is_wrong(face, key, value, message):
    with pytest.raises(asmnet.InvalidInputError, match=message):
        asmnet.Face.from_dict(face.to_dict() | {key: value})


def test_what_0_2_wrote_can_be_read(face):
    """Its faces had neither confidence nor presence nor track_id."""
    values = face.to_dict()
    for key in ("confidence", "presence", "track_id"):
        del values[key]
    again = asmnet.Face.from_dict(values)
    assert (again.confidence, again.presence, again.track_id) == (None, None, None)
    assert np.array_equal(again.landmarks, face.landmarks)


def test_a_missing_key_is_named(face):
    values = face.to_dict()
    del values["bbox"]
    with pytest.raises(asmnet.InvalidInputError, match="'bbox'"):
        asmnet.Face.from_dict(values)


def test_the_command_writes_what_the_schema_says(photos, tmp_path):
    out, text = tmp_path / "faces.json", tmp_path / "text.jpg"
    text.write_text("no image")
    assert main(["detect", str(photos / "apollo11_crew.jpg"), str(text), "--json", str(out)]) == 1
    results = json.loads(out.read_text())
    jsonschema.validate(results, SCHEMA)
    results[0]["faces"][0]["landmarks"].pop()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(results, SCHEMA)


def test_98_points_become_68(face):
    # A made shape: the 98 points whose 68 are known, because shared points and means agree.
    rng = np.random.default_rng(0)
    points = rng.normal(size=(98, 2)).astype(np.float32)
    pose = asmnet.HeadPose.from_rotation(euler_to_rotation(np.zeros(3)))
    wide = asmnet.Face(face.bbox, 0.9, points, asmnet.WFLW_98, pose)
    mapped = wide.to_68()
    assert mapped.scheme is asmnet.IBUG_68
    assert mapped.landmarks.dtype == np.float32
    for target, source in ((0, 0), (8, 16), (16, 32), (17, 33), (26, 46), (30, 54), (33, 57),
                           (36, 60), (39, 64), (42, 68), (45, 72), (48, 76), (67, 95)):  # fmt: skip
        assert np.array_equal(mapped.landmarks[target], points[source])
    assert np.allclose(mapped.landmarks[18], (points[34] + points[41]) / 2)
    assert np.allclose(mapped.landmarks[25], (points[45] + points[47]) / 2)
    assert np.allclose(mapped.landmarks[37], (2 * points[61] + points[62]) / 3)
    assert np.allclose(mapped.landmarks[38], (2 * points[63] + points[62]) / 3)
    assert np.allclose(mapped.landmarks[47], (2 * points[75] + points[74]) / 3)
    assert face.to_68() is face


def test_the_mapping_commutes_with_the_mirror():
    assert np.allclose(WFLW_TO_IBUG.sum(axis=1), 1)
    points = np.random.default_rng(1).normal(size=(98, 2))
    flip98, flip68 = asmnet.WFLW_98.flip, asmnet.IBUG_68.flip
    assert np.allclose(WFLW_TO_IBUG @ points[flip98], (WFLW_TO_IBUG @ points)[flip68])
