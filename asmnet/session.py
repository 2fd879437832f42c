"""A network that runs: the only module that imports onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from asmnet.errors import InvalidInputError, ProviderError, WeightsError
from asmnet.image import ImageArray
from asmnet.weights import load_weights

Weights = str | os.PathLike[str]


class OnnxSession:
    """An ONNX file made ready; ``run`` may be called from many threads at once.

    Attributes:
        metadata: the strings that the exporter stored in the file.
    """

    def __init__(
        self, weights: Weights, *, task: str, threads: int | None, providers: Sequence[str] | None
    ) -> None:
        """Loads and checks.

        Args:
            weights: a name in the manifest, or a path.
            task: what the file must be for, "detection" or "landmarks".
            threads: threads of one run; None lets ONNX Runtime choose.
            providers: execution providers, best first; None is the CPU.

        Raises:
            WeightsError: the file is missing, damaged, no ONNX, or for another task.
            ProviderError: a provider is not there; the CPU is never taken silently instead.
            InvalidInputError: ``threads`` is not a positive whole number.
        """
        if threads is not None and (not isinstance(threads, int) or threads < 1):
            raise InvalidInputError(f"threads: expected a positive int or None, got {threads!r}")
        wanted = ["CPUExecutionProvider"] if providers is None else list(providers)
        available = ort.get_available_providers()
        if not wanted or not set(wanted) <= set(available):
            raise ProviderError(f"providers: expected some of {available}, got {wanted}")
        options = ort.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        content = load_weights(weights)
        try:
            self._session = ort.InferenceSession(content, options, providers=wanted)
        except (RuntimeError, *_ORT_ERRORS) as error:
            raise WeightsError(f"{weights}: expected an ONNX model, got: {error}") from error
        if self._session.get_providers()[0] != wanted[0]:
            raise ProviderError(
                f"providers: expected {wanted[0]}, but ONNX Runtime could only start "
                f"{self._session.get_providers()}"
            )
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        if self.metadata.get("task") != task:
            raise WeightsError(
                f"{weights}: expected weights for {task}, got task {self.metadata.get('task')!r}"
            )
        self._input = self._session.get_inputs()[0].name

    def run(self, images: ImageArray) -> list[NDArray[np.float32]]:
        """(n, H, W, 3) uint8 RGB to the network's outputs, in the file's order."""
        outputs: list[Any] = self._session.run(None, {self._input: images})
        return outputs


_ORT_ERRORS = tuple(
    getattr(ort.capi.onnxruntime_pybind11_state, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel",
                 "NotImplemented", "RuntimeException")
)  # fmt: skip
