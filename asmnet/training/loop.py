"""The training loop: seeded, resumable, with an average of the weights, a log and a curve.

A run lives in one folder: ``checkpoint.pt`` (all that is needed to go on), ``best.pt`` (the
averaged weights of the best validated epoch), ``log.csv`` (a row an epoch) and ``curve.png``. A
kill loses at most the epoch it falls into.

Started by ``torchrun --nproc-per-node N --no-python asmnet-train fit …`` the N processes share each
batch and average their gradients; the first one validates, logs and saves. On a processor this is
faster than N threads of one process, as networks this small have more to wait for than to compute.
"""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import cv2
import torch
from torch import Tensor, distributed, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from asmnet.errors import InvalidInputError
from asmnet.training.config import Schedule

LAST, BEST = "checkpoint.pt", "best.pt"

Losses = dict[str, Tensor]


class EpochDataset(Protocol):
    """A dataset whose item ``i`` depends on its seed, ``epoch`` and ``i`` only."""

    epoch: int

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> tuple[Tensor, ...]: ...


def fit(
    model: nn.Module,
    dataset: EpochDataset,
    losses: Callable[[nn.Module, tuple[Tensor, ...], float], Losses],
    validate: Callable[[nn.Module], dict[str, float]],
    *,
    schedule: Schedule,
    folder: Path,
    resume: bool,
    validate_every: int = 1,
    best_figure: str | None = None,
) -> nn.Module:
    """Trains and returns the averaged model, in evaluation mode.

    Args:
        model: freshly initialised.
        dataset: gives samples whose tensors are stacked to batches; the first is (H, W, 3) uint8.
        losses: from model, batch and progress (0–1) to named losses, whose sum is minimised.
        validate: from the averaged model to named figures for the log.
        schedule: how to train.
        folder: of the run; made if it is missing.
        resume: go on from ``folder/checkpoint.pt`` if it exists.
        validate_every: epochs between two validations; the last epoch is always validated.
        best_figure: the averaged weights with the lowest value of this figure are kept.

    Raises:
        InvalidInputError: processes that cannot share a batch or an epoch evenly.
    """
    rank, processes = _processes(schedule)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, best = folder / LAST, folder / BEST
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = AveragedModel(model, avg_fn=_moving_average(schedule.ema), use_buffers=True)
    optimiser = torch.optim.AdamW(
        _decay_groups(model, schedule.weight_decay), lr=schedule.lr, betas=(0.9, 0.99)
    )
    steps_per_epoch = math.ceil(len(dataset) / schedule.batch)
    total = schedule.epochs * steps_per_epoch
    first_epoch = 0
    if resume and checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        first_epoch = state["epoch"]
        torch.set_rng_state(state["rng"].cpu())
    else:
        best.unlink(missing_ok=True)  # of an older run in the same folder
    best_value = math.inf
    if best.exists():
        best_value = torch.load(best, map_location="cpu", weights_only=True)["value"]
    for epoch in range(first_epoch, schedule.epochs):
        dataset.epoch = epoch
        started = time.monotonic()
        sums: dict[str, float] = {}
        model.train()
        progress_bar = tqdm(
            _batches(dataset, schedule, rank, processes),
            total=steps_per_epoch,
            desc=f"epoch {epoch + 1}/{schedule.epochs}",
            mininterval=2,
            disable=rank > 0,
        )
        for step, batch in enumerate(progress_bar, start=epoch * steps_per_epoch):
            for group in optimiser.param_groups:
                group["lr"] = schedule.lr * _rate(step, total, schedule.warmup)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=schedule.bfloat16):
                parts = losses(model, tuple(t.to(device) for t in batch), step / total)
            loss = torch.stack(list(parts.values())).sum()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if processes > 1:
                _average_gradients(model, processes)
            nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimiser.step()
            average.update_parameters(model)
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value.item()
            progress_bar.set_postfix(loss=f"{loss.item():.3f}")
        if rank > 0:
            continue
        row: dict[str, Any] = {"epoch": epoch + 1, "seconds": round(time.monotonic() - started, 1)}
        row |= {name: round(value / steps_per_epoch, 5) for name, value in sums.items()}
        if (epoch + 1) % validate_every == 0 or epoch + 1 == schedule.epochs:
            average.eval()
            figures = validate(average.module)
            row |= {name: round(value, 4) for name, value in figures.items()}
            if best_figure is not None and figures.get(best_figure, math.inf) < best_value:
                best_value = figures[best_figure]
                kept = {"average": average.state_dict(), "epoch": epoch + 1, "value": best_value}
                _save(best, kept)
        _log(folder, row)
        _save(
            checkpoint,
            {
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "epoch": epoch + 1,
                "rng": torch.get_rng_state(),
                "schedule": asdict(schedule),
            },
        )
    if processes > 1:
        # Its threads, if still there when Python ends, can abort a process that is done; and so can
        # those of one that ends while another still talks to it.
        distributed.barrier()
        distributed.destroy_process_group()
    average.eval()
    return average.module


def load_average(model: nn.Module, folder: Path, *, best: bool = False) -> nn.Module:
    """The averaged model of a run, in evaluation mode; ``model`` gives the architecture.

    Args:
        model: gets the weights.
        folder: of the run.
        best: take the best validated epoch, not the last one.

    Raises:
        InvalidInputError: the run has no such weights.
    """
    model.load_state_dict(average_weights(folder, best=best))
    return model.eval()


def average_weights(folder: Path, *, best: bool = False) -> dict[str, Tensor]:
    """The averaged weights of a run by their names in its network.

    Raises:
        InvalidInputError: the run has no such weights.
    """
    path = folder / (BEST if best else LAST)
    if not path.exists():
        raise InvalidInputError(f"{path}: not there: expected the folder of a run")
    state = torch.load(path, map_location="cpu", weights_only=True)
    prefix = "module."
    return {k.removeprefix(prefix): v for k, v in state["average"].items() if prefix in k}


def images_to_input(images: Tensor) -> Tensor:
    """(n, H, W, 3) uint8 to (n, 3, H, W) float in 0–1, channels-last in memory."""
    return images.permute(0, 3, 1, 2).float().div_(255)


def _processes(schedule: Schedule) -> tuple[int, int]:
    """The number of this process and how many train together, as ``torchrun`` tells them."""
    rank, processes = (int(os.environ.get(k, d)) for k, d in (("RANK", "0"), ("WORLD_SIZE", "1")))
    if processes > 1:
        if schedule.batch % processes or schedule.samples % processes:
            raise InvalidInputError(
                f"expected batch and samples that {processes} processes can share, got "
                f"{schedule.batch} and {schedule.samples}"
            )
        distributed.init_process_group("gloo")
    return rank, processes


def _average_gradients(model: nn.Module, processes: int) -> None:
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    distributed.all_reduce(flat)
    parts = torch.split(flat, [g.numel() for g in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape) / processes)


def _batches(
    dataset: EpochDataset, schedule: Schedule, rank: int, processes: int
) -> DataLoader[tuple[Tensor, ...]]:
    # Samples are random already, so the order needs no shuffling.
    source: Dataset[tuple[Tensor, ...]] = dataset  # type: ignore[assignment]
    # OpenCV's own threads would compete with the workers and the network; and to set their
    # number in a forked worker would wait for ever for threads that the fork left behind.
    cv2.setNumThreads(1)
    return DataLoader(
        source,
        schedule.batch // processes,
        sampler=range(rank, len(dataset), processes),
        num_workers=schedule.workers,
    )


def _moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Exponential average with a short memory at first, so that the initial weights fade soon."""

    def update(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        if not average.is_floating_point():  # batch-norm's counter
            return current
        steps = int(count)
        return average.lerp(current, 1 - min(decay, (1 + steps) / (10 + steps)))

    return update


def _rate(step: int, total: int, warmup: int) -> float:
    """Linear warm-up, then a cosine from 1 to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))


def _decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay acts on matrices and kernels, not on biases and batch-norm scales."""
    kernels = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [
        {"params": kernels, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _save(path: Path, state: dict[str, Any]) -> None:
    """Writes beside the old file, then replaces it: a kill never leaves half a checkpoint."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def _log(folder: Path, row: dict[str, Any]) -> None:
    """Appends a row to ``log.csv`` (rows of repeated epochs are replaced) and redraws the curve."""
    path = folder / "log.csv"
    rows: list[dict[str, Any]] = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [old for old in csv.DictReader(file) if int(old["epoch"]) < row["epoch"]]
    rows.append(row)
    columns = list(dict.fromkeys(name for r in rows for name in r))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    _draw_curve(rows, folder / "curve.png")


def _draw_curve(rows: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure  # here: slow to import

    names = [n for n in dict.fromkeys(n for r in rows for n in r) if n not in ("epoch", "seconds")]
    figure = Figure(figsize=(3.2 * len(names), 2.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        points = [(int(r["epoch"]), float(r[name])) for r in rows if r.get(name) not in (None, "")]
        axes.plot(*zip(*points, strict=True))
        axes.set(title=name, xlabel="epoch")
    figure.savefig(path)
