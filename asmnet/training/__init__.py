"""Training, evaluation and export: needs ``pip install asmnet[train]``."""
