"""What importing does, and what the package promises to the outside."""

import ast
import importlib.util
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

import asmnet
from asmnet.weights import manifest

ROOT = Path(__file__).parents[1]
RESEARCH = ("datasets", "evaluation", "training")
DISTRIBUTIONS = {"cv2": "opencv-python-headless", "PIL": "pillow", "mathutils": "bpy"}


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_loads_neither_torch_nor_the_hub_and_prints_nothing():
    heavy = {"torch", "huggingface_hub", "matplotlib", "scipy", "onnx", "asmnet.training",
             "asmnet.synthetic", "bpy", "pyarrow", "ray", "tqdm"}  # fmt: skip
    assert run(f"import asmnet, sys; print({heavy} & set(sys.modules))") == "set()"


def test_detect_loads_no_torch_and_opens_no_connection(photos):
    code = f"""
import socket, sys
def refuse(*args, **options):
    raise AssertionError("network access")
socket.socket.connect = refuse
import asmnet
assert asmnet.detect({str(photos / "astronaut.png")!r})
print(sorted({{'torch', 'huggingface_hub'}} & set(sys.modules)))
"""
    assert run(code) == "[]"


def test_what_is_imported_is_declared():
    """Of everyone who installs the package, or of an extra that the import's place speaks of."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = config["options.extras_require"]
    known = {
        name: declared(extras[name]) for name in ("heic", "parquet", "ray", "synthetic", "train")
    }
    required = declared(config["options"]["install_requires"])
    # huggingface-hub has always come with tqdm, and typing-extensions is for type checkers;
    # MediaPipe is asked for by mesh-labels, which names the extra.
    beside = {"tqdm", "typing-extensions", "mediapipe"}
    allowed = required.union(beside, *(known[name] for name in ("heic", "parquet", "ray")))
    for path in (ROOT / "asmnet").rglob("*.py"):
        part = path.relative_to(ROOT / "asmnet").parts[0]
        extra = "train" if part in RESEARCH else part
        missing = imported(path) - allowed - known.get(extra, set())
        assert not missing, f"{path}: {missing}"
    assert not required & known["train"], "what only training needs is not for everyone"


def declared(requirements: str) -> set[str]:
    return set(re.findall(r"^[\w-]+", requirements, re.MULTILINE))


def imported(path: Path) -> set[str]:
    """The distributions that a module imports, the standard library and ourselves left out."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(str(node.module).partition(".")[0])
    foreign = modules - sys.stdlib_module_names - {"asmnet", "tomllib"}
    return {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in foreign}


def test_public_names_exist_and_are_documented():
    for name in asmnet.__all__:
        thing = getattr(asmnet, name)
        assert name == "__version__" or thing.__doc__, name


def test_every_error_is_one_of_ours_and_public():
    errors = {t for t in vars(asmnet.errors).values() if isinstance(t, type)}
    assert all(issubclass(error, asmnet.AsmnetError) for error in errors)
    assert {error.__name__ for error in errors} <= set(asmnet.__all__)


@pytest.mark.parametrize("name", ["Face", "Detection", "HeadPose", "LandmarkScheme"])
def test_results_are_frozen(name):
    assert getattr(asmnet, name).__dataclass_params__.frozen


def built_by():
    pytest.importorskip("setuptools")  # builds the package; to run it nobody needs it
    spec = importlib.util.spec_from_file_location("build", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_on_an_index_has_no_relative_links():
    build = built_by()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", readme)
    local = [(picture, target) for picture, target in links if not target.startswith("https://")]
    assert {picture for picture, _ in local} == {"", "!"}

    alone = build.long_description(readme, None, "1.2")
    assert re.findall(r"\]\((?!https://)", alone) == []
    assert "[" not in alone.split("## Documentation")[1].split("##")[0]  # the words are kept
    assert "Quick start" in alone

    placed = build.long_description(readme, "https://example.org/asmnet", "1.2")
    for picture, target in local:
        kind = "raw" if picture else "blob"
        assert f"(https://example.org/asmnet/{kind}/v1.2/{target})" in placed


def test_the_address_stands_in_one_place():
    build = built_by()
    assert build.source_address("[metadata]\nname = a\n") is None
    placed = "[metadata]\nproject_urls =\n    Docs = https://d\n    Source = https://s/a/\n"
    assert build.source_address(placed) == "https://s/a"


def test_licence_files_are_there_and_cover_the_expression():
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    metadata = config["metadata"]
    files = [path for pattern in metadata["license_files"].split() for path in ROOT.glob(pattern)]
    assert len(files) == 5
    texts = {path.name: path.read_text(encoding="utf-8") for path in files}
    for licence in metadata["license_expression"].split(" AND "):
        assert licence in texts["NOTICE"]
    assert "MIT License" in texts["face3d.LICENSE"]
    assert "research" in texts["LicenseRef-asmnet-weights.txt"]
    assert "asmnet/weights/CREDITS.md" in texts["NOTICE"]


def test_credits_name_all_that_open_weights_learnt_from():
    credit = (ROOT / "asmnet/weights/CREDITS.md").read_text(encoding="utf-8")
    for record in manifest().values():
        for item in record.data_sets:
            if item["name"] != "synthetic":  # rendered of makehuman and hdri
                assert item["creator"] in credit, f"{record.name}: {item['name']}"
                assert item["licence"] in credit, f"{record.name}: {item['name']}"
    assert "## makehuman" in credit
    assert "## hdri" in credit
