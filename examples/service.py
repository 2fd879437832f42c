"""An HTTP service: POST an image, get its faces as JSON.

Needs `pip install fastapi uvicorn python-multipart`. Run `uvicorn service:app`, then
`curl -F file=@photo.jpg http://localhost:8000/faces`.
"""

from typing import Any

from fastapi import FastAPI, HTTPException, UploadFile

import asmnet

MAX_BYTES = 20_000_000

app = FastAPI()
# One analyzer serves all requests: it keeps no state and is safe to share between threads.
analyzer = asmnet.FaceAnalyzer(threads=1)


@app.post("/faces")
def faces(file: UploadFile) -> dict[str, Any]:  # not async: FastAPI runs it in a thread
    content = file.file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise HTTPException(413, f"expected at most {MAX_BYTES} bytes")
    try:
        found = analyzer.detect(content)
    except asmnet.ImageError as error:
        raise HTTPException(422, str(error)) from error
    return {"faces": [face.to_dict() for face in found]}
