"""Every code block of the documentation runs as it stands, page by page, from top to bottom."""

import importlib.util
import json
import os
import pydoc
import re
import shlex
import subprocess
import sys
from pathlib import Path
from shutil import copyfile

import cv2
import numpy as np
import pytest

from asmnet import weights
from asmnet.cli import main
from asmnet.datasets.licences import LICENCES, OPEN_TEACHERS
from asmnet.image import load_image

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
# An optional line before a block names a package that the block needs.
BLOCK = re.compile(r"(?:<!-- needs (\w+) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Commands that set up a machine, need training data, or reach the network.
NOT_RUN = ("pip ", "make ", "curl ", "git ", "python ", "uvicorn ", "asmnet weights download ",
           "asmnet-train ", "export ", "ray ", "#")  # fmt: skip


def blocks(page):
    return BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.fixture
def workspace(photos, tmp_path, monkeypatch):
    """A folder with the files that the pages speak of."""
    (tmp_path / "photos").mkdir()
    for name, source in (
        ("photo.jpg", "apollo11_crew.jpg"),
        ("a.jpg", "london_006_03.jpg"),
        ("b.jpg", "london_037_03.jpg"),
        ("photos/crew.jpg", "apollo11_crew.jpg"),
        ("photos/one.jpg", "london_097_03.jpg"),
    ):
        copyfile(photos / source, tmp_path / name)
    frame = cv2.resize(load_image(photos / "astronaut.png"), (320, 320))[:, :, ::-1]
    writer = cv2.VideoWriter(
        str(tmp_path / "video.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (320, 320)
    )
    for i in range(4):
        writer.write(np.roll(frame, 3 * i, axis=1))
    writer.release()
    monkeypatch.chdir(tmp_path)
    # YuNet's file is not in the package: our own detector stands in for it.
    known = dict(weights.manifest())
    known["yunet"] = known["asmnet-face"]
    monkeypatch.setattr(weights.cache, "manifest", lambda: known)
    return tmp_path


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")  # Ray warns about its own parts
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT / "docs").as_posix())
def test_the_blocks_of_a_page_run(page, workspace):
    namespace = {"__name__": "__main__"}
    for needed, language, code in blocks(page):
        if needed and importlib.util.find_spec(needed) is None:
            continue
        if language == "python" and not code.startswith("--8<--"):
            exec(compile(code, str(page), "exec"), namespace)  # noqa: S102 - our own pages
        elif language == "bash":
            for line in code.splitlines():
                if line and not line.startswith(NOT_RUN):
                    run(line)


def run(line):
    """A line of a shell block: always a command of ours."""
    command, *arguments = shlex.split(line, comments=True)
    assert command == "asmnet", f"{line}: expected a command of ours, or one named in NOT_RUN"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-m", "asmnet", *arguments], env=environment,
                          capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, f"{line}\n{done.stderr}"


def test_blocks_name_their_language():
    for page in PAGES:
        fences = re.findall(r"^```(\w*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert all(fences[::2]), f"{page}: expected a language after each opening fence"


def test_training_commands_parse():
    """`asmnet-train` lines need data to run; their options are checked."""
    from asmnet.training.cli import _parser

    lines = [
        line
        for page in PAGES
        for _, language, code in blocks(page)
        if language == "bash"
        for line in code.splitlines()
        if line.startswith("asmnet-train ")
    ]
    assert lines
    for line in lines:
        _parser().parse_args(shlex.split(line, comments=True)[1:])


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_and_figures_are_the_manifest_s(tables):
    texts = {path: path.read_text(encoding="utf-8") for path in tables.PAGES}
    for path, text in texts.items():
        assert tables.filled(text) == text, f"{path}: python docs/tables.py writes it"
    assert sum(len(tables.MARKED.findall(text)) for text in texts.values()) == 2


def test_the_page_on_shipping_has_every_weight_set_and_teacher(tables):
    page = (ROOT / "docs" / "shipping.md").read_text(encoding="utf-8")
    parts = dict(re.findall(r"<!-- licences: (\w+) -->(.*?)<!-- end -->", page, re.DOTALL))
    assert set(parts) == set(tables.LISTS)
    assert all(f"| `{name}` |" in parts["weights"] for name in weights.manifest())
    assert all(f'| `"{name}"` |' in parts["families"] for name in weights.families())
    assert all(f"| `{name}` |" in parts["sets"] for name in LICENCES)
    assert all(f"| `{name}` |" in parts["teachers"] for name in OPEN_TEACHERS)


@pytest.mark.usefixtures("open_family")
def test_a_family_that_comes_is_in_the_tables(tables):
    page = tables.filled("<!-- licences: families -->\n<!-- end -->")
    assert '| `"open"` | Apache-2.0 | `asmnet-open-face` |' in page
    assert "| `asmnet-open-68` | none |" in page


def test_a_figure_is_bound_to_its_weight_and_key(tables):
    key = "300W common, label box, NME %"
    text = f"NME **1.00**<!-- {{}}: {key} -->, 1<!-- {{}}: {key} -->."
    values = [tables.figure(name, key, records_of(tables)) for name in ("asmnet-68", "atpn-68")]
    filled = tables.filled(text.format("asmnet-68", "atpn-68"))
    assert re.findall(r"[\d.]+(?=\**<)", filled) == [f"{values[0]:.2f}", f"{values[1]:.0f}"]
    with pytest.raises(KeyError):
        tables.filled(text.format("asmnet-68", "asmnet-69"))


def test_a_table_of_results_is_that_of_its_file(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    page = "<!-- results: times{} -->\n\nold\n\n<!-- end -->"
    assert tables.filled(page.format(" calls")) == page.format(" calls")  # not measured yet
    rows = [{"call": "a", "ms": 1.234, "runs": 5}, {"call": "b", "ms": 2.0}]
    (tmp_path / "times.json").write_text(json.dumps({"calls": rows}))
    assert "| a | 1.23 | 5 |\n| b | 2.00 | – |" in tables.filled(page.format(" calls"))
    (tmp_path / "times.json").write_text(json.dumps({"ours": {"found": 9.0}, "theirs": {}}))
    assert "| | ours | theirs |\n|---|---|---|\n| found | 9.00 |  |" in tables.filled(
        page.format("")
    )
    with pytest.raises(KeyError):
        tables.filled(page.format(" networks"))


def test_each_file_of_results_is_on_a_page(tables):
    texts = [path.read_text(encoding="utf-8") for path in tables.PAGES]
    named = {mark[2] for text in texts for mark in tables.MEASURED.finditer(text)}
    files = {path.stem for path in tables.RESULTS.iterdir()}
    assert files
    assert files <= named


def records_of(tables):
    return {record["name"]: record for record in json.loads(tables.MANIFEST.read_text())["weights"]}


def test_every_column_of_a_table_of_faces_is_told():
    from asmnet.rows import COLUMNS

    page = (ROOT / "docs" / "howto" / "batch.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE)
    assert re.findall(r"\w+", " ".join(told)) == list(COLUMNS)


@pytest.fixture
def hooks():
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_to_try_lies_beside_its_modules(hooks, tmp_path, monkeypatch):
    pytest.importorskip("mkdocs")
    from mkdocs.config import load_config
    from mkdocs.exceptions import PluginError
    from mkdocs.structure.files import Files

    config = load_config(str(ROOT / "mkdocs.yml"))
    monkeypatch.setattr(hooks, "ROOT", tmp_path)
    for name in ("web/page/index.html", "web/src/index.js"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    with pytest.raises(PluginError, match="web/vendor: expected a folder"):
        hooks.on_files(Files([]), config)
    (tmp_path / "web" / "vendor" / "ort").mkdir(parents=True)
    (tmp_path / "web" / "vendor" / "ort" / "a.wasm").touch()
    files = hooks.on_files(Files([]), config)
    found = {file.src_uri for file in files}
    assert found == {"web/page/index.html", "web/src/index.js", "web/vendor/ort/a.wasm"}
    page = (ROOT / "docs" / "try.md").read_text(encoding="utf-8")
    assert 'src="../web/page/index.html"' in page


def test_the_page_of_commands_has_them_all(hooks, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")  # which the hooks set
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    shown = hooks.on_page_markdown(page)
    for command in ("asmnet detect", "asmnet weights download", "asmnet-train rebuild"):
        assert f"## {command}\n\n```text\nusage: {command} [-h]" in shown


def test_every_page_is_in_the_navigation():
    named = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(named) == [page.relative_to(ROOT / "docs").as_posix() for page in PAGES]


def test_every_public_name_is_in_the_reference():
    import asmnet

    reference = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^::: asmnet\.(?:\w+\.)?(\w+)$", reference, re.MULTILINE))
    # The two layouts are drawn on the page of conventions.
    assert set(asmnet.__all__) - documented == {"IBUG_68", "WFLW_98", "__version__"}


def test_what_the_reference_shows_is_there():
    for page in PAGES:
        for name in re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert pydoc.locate(name) is not None, f"{page}: {name}"


@pytest.mark.parametrize(
    "command", [["--help"], ["detect", "--help"], ["batch", "--help"], ["track", "--help"]]
)
def test_help(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(command)
    assert "usage: asmnet" in capsys.readouterr().out


def test_the_mesh_s_points_are_those_of_the_benchmark():
    from tracking.mesh import MESH_68

    page = ROOT / "docs" / "howto" / "migrate-mediapipe.md"
    numbers = page.read_text(encoding="utf-8").split("MESH_68 = [")[1].split("\n]")[0]
    assert [int(n) for n in re.findall(r"\b(\d+),", numbers)] == MESH_68.tolist()


def test_the_map_names_every_module_and_no_other():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    folders = ("asmnet", "benchmarks", "docs", "tests", "web/test")
    files = {d: list((ROOT / d).rglob("*.py")) for d in folders}
    assert [p for d in ("asmnet", "benchmarks") for p in files[d] if p.name not in text] == []
    paths = [
        f"/{path.as_posix()}" for some in (*files.values(), ROOT.glob("*.py")) for path in some
    ]
    assert [p for p in (ROOT / "web" / "src").glob("*.js") if p.name not in text] == []
    named = re.findall(r"[\w/]+\.py\b", text)
    assert [name for name in named if not any(p.endswith(f"/{name}") for p in paths)] == []
