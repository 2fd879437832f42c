"""Holds results that the browser saved to the schema of `asmnet detect --json`.

Usage: python validate.py RESULTS.json
"""

import json
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema

import asmnet

results = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
schema = json.loads(files(asmnet).joinpath("results.schema.json").read_text(encoding="utf-8"))
jsonschema.validate(results, schema)
faces = [asmnet.Face.from_dict(face) for result in results for face in result["faces"]]
print(f"{len(faces)} faces")
