"""A network that runs: the only module that imports onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from asmnet._checks import flag, mapping, positive_int, shown
from asmnet.cpus import cpu_count
from asmnet.errors import InvalidInputError, ProviderError, WeightsError
from asmnet.weights import is_named, load_weights

if TYPE_CHECKING:
    from typing_extensions import Unpack

# From 1.29 on ONNX Runtime writes usage data into the home folder and sends them, unless this is
# there when it is imported; later it is ignored. Who sets the variable keeps their choice.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

Weights = str | os.PathLike[str]
Provider = str | tuple[str, Mapping[str, Any]]

# More threads than any machine has CPUs: ONNX Runtime hangs or ends the process with too many.
MAX_THREADS = 1024


class RuntimeOptions(TypedDict, total=False):
    """How ONNX Runtime loads and runs a network: keyword arguments of all that load one.

    >>> FaceAnalyzer(threads=1)  # doctest: +SKIP
    >>> options: RuntimeOptions = {"threads": 1, "download": True}  # doctest: +SKIP
    >>> FaceAnalyzer(**options)  # doctest: +SKIP

    Attributes:
        threads: of one run; None, the default, is as many as ONNX Runtime chooses for this machine
            or, in a container with a CPU quota or under taskset, the CPUs that the process may use.
        providers: ONNX Runtime's execution providers, best first: names, or pairs of a name and
            its options, such as ``("CUDAExecutionProvider", {"device_id": 1})``. None is the CPU.
        session_options: settings of ONNX Runtime's sessions by name: attributes of its
            ``SessionOptions`` (``{"enable_cpu_mem_arena": False}``), and session configuration
            keys, which have a dot and take strings (``{"session.intra_op.allow_spinning": "0"}``).
            They win over what asmnet sets.
        download: fetch weights that are not on this machine; without it nothing touches the
            network.
    """

    threads: int | None
    providers: Sequence[Provider] | None
    session_options: Mapping[str, Any] | None
    download: bool


def check_runtime(
    *,
    threads: int | None = None,
    providers: Sequence[Provider] | None = None,
    session_options: Mapping[str, Any] | None = None,
    download: bool = False,
) -> RuntimeOptions:
    """All of the options, as plain values that can be pickled; see `RuntimeOptions`.

    Raises:
        InvalidInputError: threads, an ONNX Runtime setting or ``download`` of a wrong kind.
        ProviderError: a provider is not there; the CPU is never taken silently instead.
    """
    if threads is not None:
        threads = positive_int(threads, "threads", most=MAX_THREADS)
    return {
        "threads": threads,
        "providers": _check_providers(providers),
        "session_options": _check_settings(session_options),
        "download": flag(download, "download"),
    }


class OnnxSession:
    """An ONNX file made ready; ``run`` may be called from many threads at once.

    Pickled, it is the name of the weights and the options: the other end loads the file again.

    Attributes:
        metadata: the strings that the exporter stored in the file.
        input_shape: of the file's input; a name stands for a free size.
        output_names: in the order in which ``run`` returns them.
    """

    def __init__(self, weights: Weights, **runtime: Unpack[RuntimeOptions]) -> None:
        """Loads and checks.

        Args:
            weights: a name in the manifest, a hub reference, or a path.
            **runtime: see `RuntimeOptions`.

        Raises:
            WeightsError: the file is missing, damaged or no ONNX, or its download failed.
            ProviderError: a provider is not there; the CPU is never taken silently instead.
            InvalidInputError: an option out of its range.
        """
        self._runtime = check_runtime(**runtime)
        wanted = list(self._runtime["providers"] or ())
        options = _session_options(self._runtime["threads"], self._runtime["session_options"] or {})
        content = load_weights(weights, download=self._runtime["download"])
        try:
            self._session = ort.InferenceSession(
                content, options, providers=wanted, enable_fallback=False
            )
        except (RuntimeError, TypeError, ValueError, *_ORT_ERRORS) as error:
            raise WeightsError(f"{weights}: expected an ONNX model, got: {error}") from error
        if self._session.get_providers()[0] != _name(wanted[0]):
            raise ProviderError(
                f"providers: expected {_name(wanted[0])}, but ONNX Runtime could only start "
                f"{self._session.get_providers()}"
            )
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        source = self._session.get_inputs()[0]
        self._input = source.name
        self.input_shape: Sequence[int | str] = source.shape
        self.output_names = tuple(output.name for output in self._session.get_outputs())
        # The other end of a pickle may be in another folder.
        self._weights = weights if is_named(weights) else os.path.abspath(weights)  # noqa: PTH100

    def __reduce__(self) -> Any:
        return partial(OnnxSession, **self._runtime), (self._weights,)

    def require_task(self, task: str) -> None:
        """WeightsError unless the file's metadata say that it is for this task."""
        if self.metadata.get("task") != task:
            raise WeightsError(
                f"{self._weights}: expected weights for {task}, "
                f"got task {self.metadata.get('task')!r}"
            )

    def crop_format(self) -> tuple[int, float]:
        """Side of the crops that it takes in pixels, and in units of the box's longer side.

        Raises:
            WeightsError: the file's metadata do not say so.
        """
        try:
            return int(self.metadata["input_size"]), float(self.metadata["crop_margin"])
        except (KeyError, ValueError) as error:
            raise WeightsError(
                f"{self._weights}: expected metadata input_size and crop_margin, "
                f"got {dict(self.metadata)}"
            ) from error

    def run(self, images: NDArray[Any]) -> list[NDArray[np.float32]]:
        """A batch in the file's input format to its outputs, in the file's order."""
        outputs: list[Any] = self._session.run(None, {self._input: images})
        return outputs


def _check_providers(providers: Sequence[Provider] | None) -> list[Provider]:
    if providers is None:
        return ["CPUExecutionProvider"]
    available = ort.get_available_providers()
    wanted = providers if isinstance(providers, Sequence) and not isinstance(providers, str) else ()
    checked: dict[str, Provider] = {}  # of one that is named twice, ONNX Runtime takes the first
    for provider in wanted:
        name, options = provider, None
        if isinstance(provider, list | tuple) and len(provider) == 2:
            name, options = provider
        if not isinstance(name, str) or name not in available:
            checked = {}
            break
        checked.setdefault(name, name if options is None else (name, _check_options(name, options)))
    if not checked:
        raise ProviderError(
            f"providers: expected some of {available}, or pairs of one and its options, got "
            f"{shown(providers)}"
        )
    return list(checked.values())


def _check_options(provider: str, options: object) -> dict[str, Any]:
    return mapping(options, f"providers: options of {provider}")


def _name(provider: Provider) -> str:
    return provider if isinstance(provider, str) else provider[0]


def _check_settings(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    checked = {} if settings is None else mapping(settings, "session_options")
    _session_options(None, checked)
    return checked


def _session_options(threads: int | None, settings: Mapping[str, Any]) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    allowed = cpu_count()
    if threads is None and allowed < (os.cpu_count() or 1):
        threads = allowed
    if threads is not None:
        options.intra_op_num_threads = threads
    for name, value in settings.items():
        key = isinstance(name, str) and "." in name
        if not key and not (isinstance(name, str) and name in _ATTRIBUTES):
            raise InvalidInputError(
                f"session_options: expected {', '.join(_ATTRIBUTES)}, or a configuration key with "
                f"a dot, got {shown(name)}"
            )
        try:
            if key:
                options.add_session_config_entry(name, value)
            else:
                setattr(options, name, value)
        except (RuntimeError, TypeError, ValueError) as error:
            raise InvalidInputError(
                f"session_options: {name}: not usable: {shown(value)}"
            ) from error
    return options


_ATTRIBUTES = tuple(
    name for name, thing in vars(ort.SessionOptions).items() if isinstance(thing, property)
)
_ORT_ERRORS = tuple(
    getattr(ort.capi.onnxruntime_pybind11_state, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel",
                 "NotImplemented", "RuntimeException")
)  # fmt: skip
