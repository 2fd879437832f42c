"""Faces of many files as rows of one table, by worker processes; goes on after a kill."""

from asmnet.batch.runner import FORMATS, BatchOptions, Progress, run_batch, state_path

__all__ = ["FORMATS", "BatchOptions", "Progress", "run_batch", "state_path"]
