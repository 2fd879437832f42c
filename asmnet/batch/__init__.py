"""Faces of many files as rows of one table, by worker processes; goes on after a kill."""

from asmnet.batch.journal import Progress, run_files, state_path
from asmnet.batch.runner import FORMATS, run_batch
from asmnet.batch.worker import BatchOptions

__all__ = ["FORMATS", "BatchOptions", "Progress", "run_batch", "run_files", "state_path"]
