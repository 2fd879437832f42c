"""Publishing with the real client to a hub on loopback, without torch."""

import hashlib
import json
import os
import subprocess
import sys

import pytest
import yaml
from fake_hub import TOKEN

from asmnet import weights
from asmnet.training.export.publish import PublishError, publish

REPO = "team/nets"
NAMES = ("asmnet-68", "asmnet-face")


@pytest.fixture
def folder(tmp_path):
    """What ``asmnet-train export --out`` writes: both bundled networks, under other names."""
    out = tmp_path / "out"
    (out / "weights").mkdir(parents=True)
    content = json.loads((weights.PACKAGE / weights.MANIFEST).read_text(encoding="utf-8"))
    content["weights"] = [r for r in content["weights"] if r["name"] in NAMES]
    for record in content["weights"]:
        file = out / record["file"]
        file.write_bytes((weights.PACKAGE / record["file"]).read_bytes())
    (out / weights.MANIFEST).write_text(json.dumps(content), encoding="utf-8")
    return out


@pytest.fixture
def run(hub, tmp_path):
    """Runs a module's command: the client reads its settings only at import."""

    def run(module, *arguments, token=TOKEN):
        environment = {
            **os.environ,
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": token,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "ASMNET_CACHE": str(tmp_path / "cache"),
            "NO_PROXY": "127.0.0.1",
        }
        done = subprocess.run(
            [sys.executable, "-m", module, *(str(a) for a in arguments)],
            check=False, env=environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def test_published_weights_can_be_downloaded(hub, folder, run, tmp_path):
    done = run("asmnet.training.cli", "publish", folder, REPO)
    assert done.returncode == 0, done.stderr
    commit = hub.branches[REPO]["main"]
    assert f"published: hf://{REPO}@{commit}#NAME" in done.stdout
    files = hub.files(REPO)
    assert set(files) == {
        ".gitattributes", "README.md", weights.MANIFEST, *(f"weights/{n}.onnx" for n in NAMES)
    }  # fmt: skip
    assert not hub.private
    assert files["README.md"] == (folder / "README.md").read_bytes()
    for name in NAMES:
        reference = f"hf://{REPO}@{commit}#{name}"
        assert run("asmnet", "weights", "download", reference).returncode == 0
        digest = hashlib.sha256(files[f"weights/{name}.onnx"]).hexdigest()
        assert (tmp_path / "cache" / f"{digest}.onnx").read_bytes() == files[f"weights/{name}.onnx"]
    # Once more, after a cut: the repository is there, and the upload is tried again.
    hub.drop.append(f"/lfs/{digest}")
    done = run("asmnet.training.cli", "publish", folder, REPO)
    assert done.returncode == 0, done.stderr
    assert hub.drop == []


def test_a_private_repository(hub, folder, run):
    assert run("asmnet.training.cli", "publish", folder, REPO, "--private").returncode == 0
    assert hub.private == {REPO}


def test_an_interrupted_upload_publishes_nothing(hub, folder, run):
    hub.drop.append("/commit/main")
    done = run("asmnet.training.cli", "publish", folder, REPO)
    assert done.returncode == 1
    assert f"hf://{REPO}: failed, try again later" in done.stderr
    assert set(hub.files(REPO)) == {".gitattributes"}


@pytest.mark.parametrize("token", ["hf_bad", ""])
def test_unauthorised(hub, folder, run, token):
    done = run("asmnet.training.cli", "publish", folder, REPO, token=token)
    assert done.returncode == 1
    assert "hf auth login" in done.stderr
    assert hub.branches == {}


def test_a_file_changed_since_the_export(hub, folder, run):
    path = folder / "weights" / "asmnet-face.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    done = run("asmnet.training.cli", "publish", folder, REPO)
    assert done.returncode == 1
    assert "Nothing was published" in done.stderr
    assert hub.calls == []


def test_a_dry_run_writes_the_card_and_calls_nobody(hub, folder, run):
    done = run("asmnet.training.cli", "publish", folder, REPO, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert hub.calls == []
    card = (folder / "README.md").read_text(encoding="utf-8")
    _, header, text = card.split("---\n", 2)
    assert yaml.safe_load(header) == {
        "license": "other",
        "library_name": "asmnet",
        "tags": ["onnx", "facial-landmarks", "head-pose-estimation", "face-detection"],
    }
    for name in NAMES:
        record = weights.manifest()[name]
        for expected in (
            f"## {name}", f"hf://{REPO}#{name}", record.sha256, record.license,
            *record.training_data, record.training_config,
        ):  # fmt: skip
            assert expected in text
    assert "| Pointing'04 09-15, \\|pan\\| >= 75, found % | " in text
    assert "(n, 96, 96, 3) uint8, RGB 0-255" in text


def test_open_weights_are_published_with_their_credits(hub, folder, run):
    path = folder / weights.MANIFEST
    content = json.loads(path.read_text(encoding="utf-8"))
    data_set = {"name": "open/fairface", "licence": "CC BY 4.0", "evidence": "its page",
                "photos": 540, "sha256": "abc"}  # fmt: skip
    teacher = {"name": "yunet", "licence": "MIT", "role": "boxes of the photos"}
    for record in content["weights"]:
        record |= {"license": "Apache-2.0", "data_sets": [data_set], "teachers": [teacher]}
    path.write_text(json.dumps(content), encoding="utf-8")
    done = run("asmnet.training.cli", "publish", folder, REPO)
    assert done.returncode == 1
    assert "`asmnet-train credits --data DATA --out" in done.stderr
    assert hub.calls == []
    (folder / "weights" / "CREDITS.md").write_text("by us")
    assert run("asmnet.training.cli", "publish", folder, REPO).returncode == 0
    files = hub.files(REPO)
    assert files["weights/CREDITS.md"] == b"by us"
    _, header, text = files["README.md"].decode().split("---\n", 2)
    assert yaml.safe_load(header)["license"] == "apache-2.0"
    line = "- open/fairface: CC BY 4.0 (its page), 540 photos; sha256 of their names `abc`"
    assert text.count(line) == len(NAMES)
    assert text.count("- yunet (MIT): boxes of the photos") == len(NAMES)


def test_folders_that_hold_nothing_to_publish(tmp_path, folder):
    with pytest.raises(PublishError, match="cannot be read"):
        publish(tmp_path, REPO)
    (folder / "weights" / "asmnet-68.onnx").unlink()
    with pytest.raises(PublishError, match=r"asmnet-68\.onnx: cannot be read"):
        publish(folder, REPO)
    (folder / weights.MANIFEST).write_text('{"schema_version": 1, "weights": []}')
    with pytest.raises(PublishError, match="at least one weight"):
        publish(folder, REPO)
    assert not (folder / "README.md").exists()
