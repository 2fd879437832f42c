import pytest

torch = pytest.importorskip("torch")

from asmnet.training.nets.face_detector import (  # noqa: E402
    NARROW,
    WIDE,
    FaceDetectorNet,
    load_narrower,
)


def test_a_widened_network_sees_the_same():
    torch.manual_seed(0)
    narrow = FaceDetectorNet(NARROW)
    narrow(torch.rand(4, 3, 64, 64))  # the batch norms' statistics become others than 0 and 1
    wide = FaceDetectorNet(WIDE)
    load_narrower(wide, narrow.state_dict())
    images = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        pairs = zip(narrow.eval()(images), wide.eval()(images), strict=True)
        for a, b in pairs:
            assert torch.allclose(a, b, atol=1e-4)


def test_what_was_added_learns():
    wide = FaceDetectorNet(WIDE)
    load_narrower(wide, FaceDetectorNet(NARROW).state_dict())
    before = [p.detach().clone() for p in wide.parameters()]
    optimiser = torch.optim.SGD(wide.parameters(), lr=1.0)
    for _ in range(3):
        optimiser.zero_grad()
        sum(map_.square().mean() for map_ in wide(torch.rand(2, 3, 64, 64))).backward()
        optimiser.step()
    narrow = dict(FaceDetectorNet(NARROW).named_parameters())
    for (name, now), then in zip(wide.named_parameters(), before, strict=True):
        if name not in narrow or narrow[name].shape != now.shape:
            assert (now != then).any(), name
