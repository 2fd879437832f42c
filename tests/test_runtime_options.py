"""threads, providers, session_options and download, the same for everything that loads networks."""

import onnxruntime
import pytest

import asmnet
from asmnet.errors import InvalidInputError, ProviderError

LOADERS = [asmnet.FaceDetector, asmnet.FaceLandmarker, asmnet.FaceAnalyzer, asmnet.FaceTracker]


@pytest.fixture(params=LOADERS, ids=lambda loader: loader.__name__)
def loader(request):
    return request.param


@pytest.fixture
def told(monkeypatch):
    """The options and providers of each session that is made."""
    made = []
    real = onnxruntime.InferenceSession

    def spy(content, options, *, providers, **rest):
        made.append((options, providers))
        return real(content, options, providers=providers, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    return made


def test_all_reach_onnx_runtime(loader, told):
    options: asmnet.RuntimeOptions = {
        "threads": 2,
        "providers": [("CPUExecutionProvider", {"use_arena": "0"})],
        "session_options": {
            "session.intra_op.allow_spinning": "0",
            "graph_optimization_level": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
        },
        "download": False,
    }
    loader(**options)
    assert told
    for session, providers in told:
        assert session.intra_op_num_threads == 2
        assert session.get_session_config_entry("session.intra_op.allow_spinning") == "0"
        level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        assert session.graph_optimization_level == level
        assert providers == [("CPUExecutionProvider", {"use_arena": "0"})]


def test_settings_win_over_ours(told):
    asmnet.FaceDetector(threads=2, session_options={"intra_op_num_threads": 1})
    assert told[0][0].intra_op_num_threads == 1


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (InvalidInputError, {"threads": 0}),
        (InvalidInputError, {"threads": True}),
        (InvalidInputError, {"threads": 10**6}),
        (InvalidInputError, {"threads": 10**5000}),
        (InvalidInputError, {"session_options": onnxruntime.SessionOptions()}),
        (InvalidInputError, {"session_options": {"no_such_attribute": 1}}),
        (InvalidInputError, {"session_options": {"enable_mem_pattern": "yes"}}),
        (InvalidInputError, {"session_options": {"session.intra_op.allow_spinning": 0}}),
        (InvalidInputError, {"session_options": {1: 2}}),
        (InvalidInputError, {"providers": [("CPUExecutionProvider", 7)]}),
        (InvalidInputError, {"download": "no"}),
        (ProviderError, {"providers": []}),
        (ProviderError, {"providers": "CPUExecutionProvider"}),
        (ProviderError, {"providers": [("CPUExecutionProvider",)]}),
        (ProviderError, {"providers": [None]}),
        (ProviderError, {"providers": 3}),
        (TypeError, {"thread": 1}),
    ],
)
def test_wrong_ones_are_told(loader, error, options):
    with pytest.raises(error, match=next(iter(options))):
        loader(**options)


def test_a_tracker_of_loaded_networks_checks_them_too():
    networks = {"detector": asmnet.FaceDetector(), "landmarker": asmnet.FaceLandmarker()}
    with pytest.raises(TypeError, match="thread"):
        asmnet.FaceTracker(**networks, thread=1)


def test_a_provider_named_twice_counts_once(told):
    asmnet.FaceDetector(providers=2 * ["CPUExecutionProvider"])
    assert told[0][1] == ["CPUExecutionProvider"]
