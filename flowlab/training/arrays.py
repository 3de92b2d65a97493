"""From tensors to the float64 arrays that estimators and Datasets take."""

from __future__ import annotations

import numpy as np
from torch import Tensor


def to_array(tensor: Tensor) -> np.ndarray:
    """A detached float64 copy on the CPU, of the same shape."""
    return tensor.detach().cpu().double().numpy()
