"""Active Shape Model: shapes as a mean plus a few modes of variation (Cootes et al. 1995)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asmnet.geometry import FloatArray


@dataclass(frozen=True, eq=False)
class ActiveShapeModel:
    """PCA of shapes. A shape is S ≈ mean + modes · b with |b_i| ≤ 3 √variances_i.

    Attributes:
        mean: (2N,) mean shape, x0, y0, x1, y1, …
        modes: (2N, k) orthonormal columns, strongest first.
        variances: (k,) eigenvalues of the covariance.
    """

    mean: FloatArray
    modes: FloatArray
    variances: FloatArray

    @classmethod
    def fit(cls, shapes: FloatArray, kept_variance: float) -> ActiveShapeModel:
        """Learns from (m, N, 2) shapes; keeps the fewest modes with that part of the variance."""
        flat = shapes.reshape(len(shapes), -1)
        mean = flat.mean(axis=0)
        _, singular, modes = np.linalg.svd(flat - mean, full_matrices=False)
        variances = singular**2 / (len(shapes) - 1)
        share = np.cumsum(variances) / variances.sum()
        count = int(np.searchsorted(share, kept_variance)) + 1
        return cls(mean, modes[:count].T, variances[:count])

    def project(self, shapes: FloatArray) -> FloatArray:
        """The nearest plausible shapes: (m, N, 2) to (m, N, 2), coefficients clipped to ±3√λ."""
        flat = shapes.reshape(len(shapes), -1)
        limit = 3 * np.sqrt(self.variances)
        coefficients = np.clip((flat - self.mean) @ self.modes, -limit, limit)
        return np.asarray((self.mean + coefficients @ self.modes.T).reshape(shapes.shape))
