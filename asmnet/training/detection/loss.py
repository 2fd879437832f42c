"""The detector's losses: which cells take a face is decided by how well they find it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from asmnet.training.detection.targets import cells

# At most so many cells take a face; the number is the sum of the candidates' IoU (SimOTA,
# Ge et al. 2021), so that small faces, whose boxes hardly ever fit, have few.
MAX_CELLS = 8


def flatten(outputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Maps of the network to (n, A, 15), in the order of `cells`, and the closer map (n, A8)."""
    *maps, closer = outputs
    raw = torch.cat([x.flatten(2) for x in maps], dim=2).transpose(1, 2)
    return raw.float(), closer.flatten(1).float()


def decode(raw: Tensor, centres: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Raw (..., A, 15) to boxes (..., A, 4) xyxy and key points (..., A, 10) in input pixels.

    The same formula as ``asmnet.facemaps.decode``; a test compares the two.
    """
    strides = strides[:, None]
    middle = centres + raw[..., 1:3] * strides
    half = raw[..., 3:5].clamp(-6, 6).exp() * 2 * strides
    boxes = torch.cat([middle - half, middle + half], dim=-1)
    keypoints = centres.repeat(1, 5) + raw[..., 5:15] * 2 * strides
    return boxes, keypoints


class Batch(NamedTuple):
    """Stacked mosaics' targets: see `Targets`, and the weight (n,) of each mosaic's background."""

    background: Tensor
    pairs: Tensor
    boxes: Tensor
    keypoints: Tensor
    closer: Tensor
    weight: Tensor


def detection_loss(
    outputs: tuple[Tensor, ...], batch: Batch, *, size: int, score_floor: float
) -> dict[str, Tensor]:
    """Score, box, key-point and zoomed-pass losses.

    Score: varifocal loss (Zhang et al. 2021): a face's cells learn floor + (1 - floor) · IoU of
    their box at full weight, background cells 0 at a weight that falls with the square of what
    they say. Box: generalised IoU. Key points: smooth L1 in units of the face. These three are
    means per cell that takes a face, the last loss is one per place worth a zoomed pass.

    Args:
        outputs: the network's.
        batch: what is there.
        size: side of the mosaics.
        score_floor: lifts the scores of small faces, whose boxes never overlap as well.
    """
    background, pairs, boxes, keypoints, closer, weight = batch
    raw, closer_raw = flatten(outputs)
    centres, strides = (torch.from_numpy(v).float().to(raw.device) for v in cells(size))
    mosaic, slot = torch.nonzero(pairs[..., 0] >= 0, as_tuple=True)
    cell, face = pairs[mosaic, slot].long().unbind(1)
    logits = raw[mosaic, cell]
    found, points = decode(logits, centres[cell], strides[cell])
    truth = boxes[mosaic, face]
    iou, giou = iou_giou(found, truth)
    taken = chosen(
        mosaic,
        cell,
        face,
        iou=iou.detach(),
        logits=logits[:, 0].detach(),
        cells_a_mosaic=raw.shape[1],
    )
    count = taken.sum().clamp(min=1)
    target = torch.zeros_like(raw[..., 0])
    positive = torch.zeros_like(target, dtype=torch.bool)
    positive[mosaic[taken], cell[taken]] = True
    quality = iou[taken].detach().clamp(0.2)
    target[mosaic[taken], cell[taken]] = score_floor + (1 - score_floor) * quality
    probability = raw[..., 0].detach().sigmoid()
    negative = probability.square() * background * weight[:, None]
    cost = functional.binary_cross_entropy_with_logits(raw[..., 0], target, reduction="none")
    score = (cost * torch.where(positive, 1.0, negative)).sum() / count
    extent = (truth[:, 2:] - truth[:, :2]).mean(dim=1, keepdim=True)
    wanted = keypoints[mosaic, face]
    known = taken[:, None] & wanted.isfinite()
    distance = functional.smooth_l1_loss(
        points / extent, wanted.nan_to_num() / extent, beta=0.05, reduction="none"
    )
    wanted_closer = (closer == 1).float()
    say = closer_raw.detach().sigmoid()
    emphasis = torch.where(closer == 1, 1.0, say.square() * weight[:, None]) * (closer >= 0)
    closer_cost = functional.binary_cross_entropy_with_logits(
        closer_raw, wanted_closer, reduction="none"
    )
    return {
        "score": score,
        "box": 2 * ((1 - giou) * taken).sum() / count,
        "keypoints": 0.3 * (distance * known).sum() / count,
        "closer": 0.5 * (closer_cost * emphasis).sum() / wanted_closer.sum().clamp(min=8),
    }


@torch.no_grad()
def chosen(
    mosaic: Tensor, cell: Tensor, face: Tensor, *, iou: Tensor, logits: Tensor, cells_a_mosaic: int
) -> Tensor:
    """Which pairs (k,) of cell and face go together: for each face the cells that find it best.

    A face has as many as the sum of its best ten IoUs, one at least; a cell that several faces
    want takes the one that its box fits best.
    """
    if not len(mosaic):
        return torch.zeros(0, dtype=torch.bool, device=mosaic.device)
    quality = iou.clamp(min=1e-4) * logits.sigmoid().clamp(min=1e-3) ** 0.25
    group = mosaic * 4096 + face
    order = torch.argsort(quality, descending=True)
    order = order[torch.argsort(group[order], stable=True)]
    ordered = group[order]
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    index = torch.arange(len(order), device=order.device)
    number = torch.cumsum(first, 0) - 1
    rank = index - index[first][number]
    total = torch.zeros(int(number[-1]) + 1, device=iou.device)
    total.index_add_(0, number, iou[order] * (rank < 10))
    wanted = total.floor().clamp(1, MAX_CELLS)[number]
    taken = torch.zeros(len(order), dtype=torch.bool, device=order.device)
    taken[order] = rank < wanted
    # One face a cell.
    place = mosaic * cells_a_mosaic + cell
    best = torch.full((int(place.max()) + 1,), -1.0, device=iou.device)
    best.scatter_reduce_(0, place, torch.where(taken, quality, -1.0), "amax")
    return taken & (quality >= best[place])


def iou_giou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU (Rezatofighi et al. 2019) of (k, 4) xyxy boxes, row by row."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    inter = (high - low).clamp(min=0).prod(dim=1)
    union = (a[:, 2:] - a[:, :2]).prod(dim=1) + (b[:, 2:] - b[:, :2]).prod(dim=1) - inter
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(dim=1)
    iou = inter / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)
