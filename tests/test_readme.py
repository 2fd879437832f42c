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


def test_figures_are_the_manifest_s():
    """Each figure of the weights' table is one of the manifest's, at the precision shown."""
    figures = {
        f"{figure['value']:.{digits}f}"
        for record in manifest().values()
        for figure in record.metrics.values()
        for digits in (0, 1, 2)
    }
    table = [line for line in README.splitlines() if line.startswith("| `")]
    assert len(table) == sum(record.source is None for record in manifest().values())
    for line in table:
        for number in re.findall(r"\*\*([\d.]+)\*\*", line):
            assert number in figures, number


def test_images_and_links_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
