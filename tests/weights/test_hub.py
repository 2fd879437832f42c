"""Downloads with the real client from a hub on loopback, and each way in which they can fail."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_hub import TOKEN

import asmnet
from asmnet import weights
from asmnet.errors import ChecksumError, WeightsError, WeightsNotFoundError
from asmnet.weights.hub import PRIVATE_PREFIX

REPO = "team/nets"
NAME = f"hf://{REPO}#face"
FILE = "weights/face.onnx"
NETWORK = (weights.PACKAGE / weights.manifest()["asmnet-face"].file).read_bytes()
OTHER = (weights.PACKAGE / weights.manifest()["asmnet-face"].file).read_bytes() + b"\x9a\x06\x00"
# Shortens the client's patience; proxies of this machine must not see loopback.
QUICK = {
    "HF_HUB_DOWNLOAD_TIMEOUT": "5",
    "HF_HUB_ETAG_TIMEOUT": "5",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "NO_PROXY": "127.0.0.1",
}
FOREIGN = ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_IMPLICIT_TOKEN")


def record(content, **changes):
    known = json.loads((weights.PACKAGE / weights.MANIFEST).read_text(encoding="utf-8"))
    (face,) = (r for r in known["weights"] if r["name"] == "asmnet-face")
    return {
        **face,
        "name": "face",
        "file": FILE,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        **changes,
    }


def manifest_bytes(*records):
    return json.dumps({"schema_version": 1, "weights": records}).encode()


def repository(content):
    return {weights.MANIFEST: manifest_bytes(record(content)), FILE: content}


@pytest.fixture
def filled(hub):
    """The hub with one repository of one weight."""
    hub.add(REPO, repository(NETWORK))
    return hub


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache folder of this process and of those it starts; empty."""
    monkeypatch.setenv("ASMNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def environment(hub, cache, tmp_path):
    """Of the processes that a test starts: the client reads its settings only at import."""
    kept = {k: v for k, v in os.environ.items() if k not in FOREIGN}
    return {**kept, **QUICK, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")}


def start(environment, *arguments, code=None, **options):
    command = ["-c", code] if code is not None else ["-m", "asmnet", "weights"]
    return subprocess.Popen(
        [sys.executable, *command, *arguments],
        env={**environment, **options},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(environment, *arguments, code=None, **options):
    """Exit code, standard output and standard error."""
    with start(environment, *arguments, code=code, **options) as process:
        out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def fails(environment, *arguments, **options):
    """The message of a command that must fail."""
    code, out, err = run(environment, *arguments, **options)
    assert code == 1, (out, err)
    assert err.splitlines()[-1].startswith("asmnet: ")
    return err


def stored(cache):
    """Names of the usable files in the cache."""
    return sorted(path.name for path in cache.rglob("*") if path.is_file())


def test_download_then_use_without_the_hub(filled, environment, cache, photos):
    code, out, _ = run(environment, "download", NAME)
    assert (code, out) == (0, f"{NAME}: downloaded, {weights.find_record(NAME).path}\n")
    calls = len(filled.calls)
    (face,) = asmnet.FaceDetector(NAME, threads=1).detect(photos / "astronaut.png")
    (expected,) = asmnet.FaceDetector(threads=1).detect(photos / "astronaut.png")
    assert (face.bbox == expected.bbox).all()
    assert len(filled.calls) == calls
    commit = filled.branches[REPO]["main"]
    pinned = f"hf://{REPO}@{commit}#face"
    assert weights.load_weights(pinned) == NETWORK
    assert weights.cached_references() == [pinned]
    # The commit is known and the file there: nothing but the branch is looked up again.
    code, out, _ = run(environment, "download", NAME)
    assert (code, "already there" in out) == (0, True)
    assert not any(FILE in call for call in filled.calls[calls:])


def test_an_air_gapped_copy_of_the_cache(filled, environment, cache, tmp_path, monkeypatch):
    run(environment, "download", NAME)
    copy = tmp_path / "usb stick"
    shutil.copytree(cache, copy)
    shutil.rmtree(cache)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.setenv("ASMNET_CACHE", str(copy))
    assert weights.load_weights(NAME) == NETWORK
    assert weights.load_weights(NAME, download=True) == NETWORK
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755)


def test_download_by_the_library(filled, environment):
    code = f"""
import asmnet, sys
try:
    asmnet.FaceAnalyzer(detector={NAME!r})
except asmnet.WeightsNotFoundError as error:
    assert "asmnet weights download {NAME}" in str(error)
assert "huggingface_hub" not in sys.modules
asmnet.FaceAnalyzer(detector={NAME!r}, download=True, threads=1)
"""
    assert run(environment, code=code)[0] == 0
    calls = len(filled.calls)
    assert calls
    asmnet.FaceDetector(NAME, download=True, threads=1)
    assert len(filled.calls) == calls


def test_without_download_nothing_calls(filled, cache):
    for thing in (asmnet.FaceDetector, asmnet.FaceLandmarker):
        with pytest.raises(WeightsNotFoundError, match=f"asmnet weights download {NAME}"):
            thing(NAME)
    with pytest.raises(WeightsNotFoundError, match="asmnet weights download yunet"):
        asmnet.FaceDetector("yunet")
    assert filled.calls == []


def test_a_manifest_name_with_a_source(filled, environment, cache, tmp_path):
    """As yunet: the package's manifest pins a commit of a repository without a manifest."""
    commit = filled.add("other/zoo", {"net.onnx": NETWORK})
    known = record(NETWORK, file="net.onnx", source={"repo": "other/zoo", "revision": commit})
    (tmp_path / weights.MANIFEST).write_bytes(manifest_bytes(known))
    code = f"""
import sys
from pathlib import Path
from asmnet import weights
weights.records.PACKAGE = Path({str(tmp_path)!r})
from asmnet.cli import main
sys.exit(main(["weights", *sys.argv[1:]]))
"""
    assert "not downloaded" in run(environment, "list", code=code)[1]
    assert run(environment, "download", "face", code=code)[0] == 0
    assert (cache / f"{known['sha256']}.onnx").read_bytes() == NETWORK
    assert "cached" in run(environment, "list", code=code)[1]
    calls = len(filled.calls)
    assert "already there" in run(environment, "download", "face", code=code)[1]
    assert len(filled.calls) == calls
    filled.add("other/zoo", {"net.onnx": b"moved"})
    next(cache.glob("*.onnx")).unlink()
    assert run(environment, "download", "face", code=code)[0] == 0


def test_a_corrupt_file_is_not_stored(filled, environment, cache):
    filled.corrupt.add(FILE)
    message = fails(environment, "download", NAME)
    assert "expected sha256" in message
    assert "Nothing was stored" in message
    assert stored(cache) == []
    filled.corrupt.clear()
    assert run(environment, "download", NAME)[0] == 0


def test_a_file_of_another_size_is_not_even_fetched(filled, environment, cache):
    filled.add(REPO, {FILE: NETWORK + b"more"})
    assert f"expected {len(NETWORK)} bytes" in fails(environment, "download", NAME)
    assert not any(call.startswith("GET") and call.endswith(FILE) for call in filled.calls)
    assert stored(cache) == []


def test_a_file_damaged_in_the_cache_is_refused_and_fetched_again(filled, environment, cache):
    run(environment, "download", NAME)
    path = weights.find_record(NAME).path
    path.write_bytes(NETWORK[:1000])
    with pytest.raises(ChecksumError, match=f"asmnet weights download {NAME}"):
        asmnet.FaceDetector(NAME)
    code, out, _ = run(environment, "verify")
    assert code == 1
    assert "face: BAD" in out
    code = f"from asmnet.weights import load_weights; load_weights({NAME!r}, download=True)"
    assert run(environment, code=code)[0] == 0
    assert weights.load_weights(NAME) == NETWORK
    weights.manifest_path(weights.find_record(NAME).source).write_text("{")
    with pytest.raises(WeightsError, match="JSON"):
        weights.load_weights(NAME)
    assert run(environment, "download", NAME)[0] == 0
    assert weights.load_weights(NAME) == NETWORK


def test_a_connection_cut_in_the_middle(filled, environment, cache):
    filled.cut[FILE] = [100_000]
    code, _, err = run(environment, "download", NAME)
    assert filled.cut[FILE] == []
    if code:  # old versions of the client give up where new ones go on
        assert "try again later" in err
        assert stored(cache) == []
        assert run(environment, "download", NAME)[0] == 0
    assert weights.load_weights(NAME) == NETWORK


def test_a_server_that_goes_away(filled, environment, cache):
    filled.busy.add(FILE)
    message = fails(environment, "download", NAME)
    assert "503" in message
    assert "try again later" in message
    assert stored(cache) == []


def test_a_killed_download_leaves_nothing_to_use(filled, environment, cache):
    filled.stall.add(FILE)
    process = start(environment, "download", NAME)
    assert filled.waiting.acquire(timeout=30)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    filled.resume.set()
    left = list(cache.iterdir())
    assert all(folder.name.startswith(PRIVATE_PREFIX) for folder in left)
    with pytest.raises(WeightsNotFoundError):
        weights.load_weights(NAME)
    filled.stall.clear()
    assert run(environment, "download", NAME)[0] == 0
    assert weights.load_weights(NAME) == NETWORK
    somebodys = cache / "download-photos"
    somebodys.mkdir()
    # For all that is known, another process is still busy with the folders.
    assert all(folder.exists() for folder in left)
    old = time.time() - 3 * 24 * 3600
    for folder in (*left, somebodys):
        os.utime(folder, (old, old))
    assert run(environment, "download", NAME)[0] == 0
    assert not any(folder.exists() for folder in left)
    assert somebodys.exists()


def test_two_processes_at_once(filled, environment, cache):
    filled.stall.add(FILE)
    processes = [start(environment, "download", NAME) for _ in range(2)]
    for _ in processes:
        assert filled.waiting.acquire(timeout=30)
    filled.resume.set()
    for process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert weights.load_weights(NAME) == NETWORK
    assert not list(cache.glob(f"{PRIVATE_PREFIX}*"))


def test_a_branch_that_moves(filled, environment):
    first = filled.branches[REPO]["main"]
    run(environment, "download", NAME)
    second = filled.add(REPO, repository(OTHER))
    assert weights.load_weights(NAME) == NETWORK
    code, out, _ = run(environment, "download", NAME)
    assert code == 0
    assert f"moved from {first} to {second}" in out
    assert weights.load_weights(NAME) == OTHER
    assert weights.load_weights(f"hf://{REPO}@{first}#face") == NETWORK


def test_a_branch_that_moves_to_something_broken_leaves_the_old(filled, environment):
    run(environment, "download", NAME)
    filled.add(REPO, repository(OTHER))
    filled.corrupt.add(FILE)
    fails(environment, "download", NAME)
    assert weights.load_weights(NAME) == NETWORK


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX's")
def test_a_full_disk(filled, environment, cache):
    code = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from asmnet.cli import main
sys.exit(main(["weights", "download", {NAME!r}]))
"""
    # Where coverage is measured, it could not write its file either.
    measured_not = {k: v for k, v in environment.items() if not k.startswith("COVERAGE_")}
    message = fails(measured_not, code=code)
    assert "no space" in message
    assert "ASMNET_CACHE" in message
    assert stored(cache) == []


def test_a_cache_that_cannot_be_written(filled, environment, cache):
    cache.write_text("a file, where the folder should be")
    assert "ASMNET_CACHE" in fails(environment, "download", NAME)


def test_a_refused_connection(environment, cache):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        message = fails(environment, "download", NAME, HF_ENDPOINT=endpoint)
    assert "try again later" in message
    assert stored(cache) == []


def test_offline_mode(filled, environment, cache):
    message = fails(environment, "download", NAME, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE" in message
    assert "ASMNET_CACHE" in message
    assert filled.calls == []
    run(environment, "download", NAME)
    calls = len(filled.calls)
    code, out, _ = run(environment, "path", NAME, HF_HUB_OFFLINE="1")
    assert (code, Path(out.strip()).read_bytes()) == (0, NETWORK)
    assert len(filled.calls) == calls


REFUSED = {
    "hf://team/gone#face": "no such repository",
    f"hf://{REPO}@v9#face": "no such branch, tag or commit",
    f"hf://{REPO}@{'0' * 40}#face": "no such branch, tag or commit",
    f"hf://{REPO}#hand": "expected one of face, got 'hand'",
    "hf://team/empty#face": "no such file",
    "hf://team/lost#face": "no such file",
    "hf://team/secret#face": "hf auth login",
    "hf://team/gated#face": "asked for on the repository's page",
    "hf://team/odd#face": "schema_version 7",
    "hf://team/binary#face": "in JSON",
    "hf://nobody": "expected hf://org/repo",
    "nonsense": "expected one of asmnet-68",
}


def test_what_the_hub_has_not_or_refuses(filled, environment, cache):
    filled.add("team/empty", {"README.md": b""})
    filled.add("team/lost", {weights.MANIFEST: manifest_bytes(record(NETWORK))})
    filled.add("team/odd", {weights.MANIFEST: b'{"schema_version": 7, "weights": []}'})
    filled.add("team/binary", {weights.MANIFEST: b"\xff\xfe"})
    for repo in ("team/secret", "team/gated"):
        filled.add(repo, repository(NETWORK))
    filled.private.add("team/secret")
    filled.gated.add("team/gated")
    messages = fails(environment, "download", *REFUSED).splitlines()
    for message, expected in zip(messages, REFUSED.values(), strict=True):
        assert expected in message
    assert stored(cache) == []


def test_a_private_repository_with_a_token(filled, environment):
    filled.private.add(REPO)
    assert run(environment, "download", NAME, HF_TOKEN=TOKEN)[0] == 0


def test_an_answer_of_no_hub(filled, environment):
    filled.foreign = True
    assert "HF_ENDPOINT" in fails(environment, "download", NAME)


def test_one_failure_does_not_stop_the_others(filled, environment):
    assert "hand" in fails(environment, "download", f"hf://{REPO}#hand", NAME)
    assert weights.load_weights(NAME) == NETWORK


def test_list_verify_and_path(filled, environment):
    run(environment, "download", NAME)
    code, out, _ = run(environment, "list")
    lines = {line.split()[0]: line for line in out.splitlines()}
    pinned = f"hf://{REPO}@{filled.branches[REPO]['main']}#face"
    assert code == 0
    assert "bundled" in lines["asmnet-face"]
    assert "cached" in lines[pinned]
    assert "not downloaded" in lines["yunet"]
    records = {r["name"]: r for r in json.loads(run(environment, "list", "--json")[1])}
    assert records[pinned]["sha256"] == hashlib.sha256(NETWORK).hexdigest()
    assert records["yunet"]["source"]["repo"] == "opencv/face_detection_yunet"
    code, out, _ = run(environment, "verify")
    assert (code, out.count(": good")) == (0, len(lines) - 2)
    assert run(environment, "verify", "yunet")[:2] == (1, "yunet: not downloaded\n")
    code, out, _ = run(environment, "path", "asmnet-face")
    assert Path(out.strip()).read_bytes() == NETWORK
    assert "asmnet weights download yunet" in fails(environment, "path", "yunet")
