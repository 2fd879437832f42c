"""What importing does, and what the package promises to the outside."""

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

import asmnet


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_loads_neither_torch_nor_the_hub_and_prints_nothing():
    heavy = {"torch", "huggingface_hub", "matplotlib", "scipy", "onnx", "asmnet.training",
             "pyarrow", "ray", "tqdm"}  # fmt: skip
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


def test_installing_pulls_five_packages():
    config = ConfigParser()
    config.read(Path(__file__).parents[1] / "setup.cfg")
    names = {line.split(">=")[0] for line in config["options"]["install_requires"].split()}
    assert names == {"huggingface-hub", "numpy", "onnxruntime", "opencv-python-headless", "pillow"}


def test_public_names_exist_and_are_documented():
    for name in asmnet.__all__:
        thing = getattr(asmnet, name)
        assert name == "__version__" or thing.__doc__, name


def test_every_error_is_one_of_ours():
    errors = [getattr(asmnet, name) for name in asmnet.__all__ if name.endswith("Error")]
    assert all(issubclass(error, asmnet.AsmnetError) for error in errors)
    assert len(errors) == 13


@pytest.mark.parametrize("name", ["Face", "Detection", "HeadPose", "LandmarkScheme"])
def test_results_are_frozen(name):
    assert getattr(asmnet, name).__dataclass_params__.frozen
