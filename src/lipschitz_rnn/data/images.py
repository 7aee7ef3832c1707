"""What every loader of labelled images hands over, before any of it becomes a sequence."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LabelledImages:
    """Images as the data set stores them, with their classes.

    Attributes:
        train_images: Shape ``(n, H, W)``, uint8.
        train_target: Shape ``(n,)``, uint8.
        test_images: Shape ``(m, H, W)``, uint8.
        test_target: Shape ``(m,)``, uint8.
        source: Where the bytes came from.
        digest: SHA-256 that names the raw data.
    """

    train_images: np.ndarray
    train_target: np.ndarray
    test_images: np.ndarray
    test_target: np.ndarray
    source: str
    digest: str
