"""A network that runs: the only module that imports onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asmnet.errors import InvalidInputError, ProviderError, WeightsError
from asmnet.weights import load_weights

# From 1.29 on ONNX Runtime writes usage data into the home folder and sends them, unless this is
# there when it is imported; later it is ignored. Who sets the variable keeps their choice.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

Weights = str | os.PathLike[str]


class OnnxSession:
    """An ONNX file made ready; ``run`` may be called from many threads at once.

    Attributes:
        metadata: the strings that the exporter stored in the file.
        input_shape: of the file's input; a name stands for a free size.
        output_names: in the order in which ``run`` returns them.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        threads: int | None,
        providers: Sequence[str] | None,
        download: bool = False,
    ) -> None:
        """Loads and checks.

        Args:
            weights: a name in the manifest, a hub reference, or a path.
            threads: threads of one run; None lets ONNX Runtime choose.
            providers: execution providers, best first; None is the CPU.
            download: fetch weights that are not on this machine.

        Raises:
            WeightsError: the file is missing, damaged or no ONNX, or its download failed.
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
        content = load_weights(weights, download=download)
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
        source = self._session.get_inputs()[0]
        self._input = source.name
        self.input_shape: Sequence[int | str] = source.shape
        self.output_names = tuple(output.name for output in self._session.get_outputs())
        self._weights = weights

    def require_task(self, task: str) -> None:
        """WeightsError unless the file's metadata say that it is for this task."""
        if self.metadata.get("task") != task:
            raise WeightsError(
                f"{self._weights}: expected weights for {task}, "
                f"got task {self.metadata.get('task')!r}"
            )

    def run(self, images: NDArray[Any]) -> list[NDArray[np.float32]]:
        """A batch in the file's input format to its outputs, in the file's order."""
        outputs: list[Any] = self._session.run(None, {self._input: images})
        return outputs


_ORT_ERRORS = tuple(
    getattr(ort.capi.onnxruntime_pybind11_state, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel",
                 "NotImplemented", "RuntimeException")
)  # fmt: skip
