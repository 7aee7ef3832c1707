"""scikit-learn's bundled handwritten digits: 1,797 images of 8 x 8 pixels, nothing to download."""

from importlib.metadata import version

import numpy as np

from lipschitz_rnn.data.files import manifest_digest, sha256
from lipschitz_rnn.data.images import LabelledImages

SIDE = 8
CLASSES = 10
MAXIMUM = 16
TRAIN_COUNT = 1_437
TEST_COUNT = 360
TEST_SEED = 0


def load_digits() -> LabelledImages:
    """The digits, with a test part that never changes.

    The bundled file has no split of its own. The last 360 samples of
    ``RandomState(0).permutation(1797)`` are the test samples, whatever the seed of the validation
    split, so that accuracies can be compared; the other 1,437 are for training and validation.

    Returns:
        Images of whole numbers 0 to 16 with their digits.
    """
    from sklearn.datasets import load_digits as load  # a second of imports, for this task only

    bunch = load()
    images = bunch.images.astype(np.uint8)
    target = bunch.target.astype(np.uint8)
    order = np.random.RandomState(TEST_SEED).permutation(len(target))
    train, test = order[:TRAIN_COUNT], order[TRAIN_COUNT:]
    return LabelledImages(
        images[train],
        target[train],
        images[test],
        target[test],
        source=f"scikit-learn {version('scikit-learn')}",
        digest=manifest_digest(
            {"images": sha256(images.tobytes()), "target": sha256(target.tobytes())}
        ),
    )
