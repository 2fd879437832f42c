"""What the README shows is what happens."""

import re
from pathlib import Path
from shutil import copyfile

import asmnet
from asmnet.weights import manifest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_example_prints_what_is_printed_below_it(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    (code, _), (output, *_) = blocks("python"), blocks("text")
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102
    printed = capsys.readouterr().out
    numbers = [[float(n) for n in re.findall(r"-?\d+\.?\d*", text)] for text in (printed, output)]
    assert re.sub(r"-?\d+\.?\d*", "#", printed) == re.sub(r"-?\d+\.?\d*", "#", output)
    assert len(numbers[0]) == len(numbers[1])
    # Another processor may round the last digit differently.
    assert all(abs(a - b) <= 1 for a, b in zip(*numbers, strict=True))


def test_the_other_example_runs(photos, tmp_path, monkeypatch):
    for name in ("a.jpg", "b.jpg", "crowd.jpg"):
        copyfile(photos / "apollo11_crew.jpg", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    namespace = {"asmnet": asmnet}
    exec(compile(blocks("python")[1], "README.md", "exec"), namespace)  # noqa: S102
    assert len(namespace["boxes"]) == 3
    assert namespace["crop"].shape == (112, 112, 3)


def test_each_figure_of_the_weights_names_its_key():
    """tests/test_docs.py compares it with the manifest; here none may stand alone."""
    table = [line for line in README.splitlines() if line.startswith("| `")]
    bundled = {record.name: record for record in manifest().values() if record.source is None}
    assert len(table) == len(bundled)
    for line in table:
        record = bundled[re.findall("`(.+?)`", line)[0]]
        figures = re.findall(r"\*\*[\d.]+\*\*(?:<!-- ([\w-]+): )?", line)
        assert set(figures) == {record.name}
        size = f"{record.bytes / 1e6:.1f} MB, {record.parameters / 1e6:.2f} M parameters"
        assert f"| {size} |" in line


def test_images_and_links_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
