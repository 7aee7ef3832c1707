"""Samples as pictures: images, heat maps and small line plots that stand in the page itself."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from markupsafe import Markup, escape

from lipschitz_rnn.data import Dataset, SequenceDataset
from lipschitz_rnn.data.image_tasks import IMAGE_TASKS
from lipschitz_rnn.data.permutations import named_permutation
from lipschitz_rnn.training import DataConfig

_POINTS = 300
"""Of a line: more cannot be told apart in a picture as wide as these."""

LINES = 4
"""Of one plot; more channels are shown as a heat map."""


@dataclass(frozen=True)
class Picture:
    """A picture in the page.

    Attributes:
        markup: An ``img`` or ``svg`` element, which has an alternative text.
        alt: That text.
    """

    markup: Markup
    alt: str


def restore_image(config: DataConfig, dataset: Dataset, place: int) -> np.ndarray | None:
    """A sample of an image task as the image that it was made of.

    Args:
        config: Which samples, and how they were prepared.
        dataset: The samples.
        place: Which of them.

    Returns:
        (H, W) or (H, W, 3), in [0, 1], whatever the permutation and the steps it is read in; None
        of samples that are no images.
    """
    if not isinstance(dataset, SequenceDataset):
        return None
    values = dataset.values[place]
    if config.name in IMAGE_TASKS:
        task = IMAGE_TASKS[config.name]
        flat = values.flatten()
        if config.permutation is not None:
            order = named_permutation(config.permutation, task.pixels)
            flat = torch.empty_like(flat).scatter_(0, order, flat)
        return flat.view(task.side, task.side).numpy() / np.float32(task.maximum)
    if config.name in {"cifar10", "cifar10-jpeg"}:
        if config.task == "noise" and config.pipeline == "authors":  # a row is three planes there
            values = values.view(32, 3, 32).transpose(1, 2)
        return values.reshape(32, 32, 3).numpy() / np.float32(255)
    return None


def image_picture(image: np.ndarray, alt: str, *, colors: str = "gray") -> Picture:
    """An image as a PNG within the page.

    Args:
        image: (H, W), or (H, W, 3), in [0, 1].
        alt: What is to be seen.
        colors: matplotlib's name of the colours of one channel.

    Returns:
        The picture; its pixels stay sharp when it is enlarged.
    """
    from matplotlib.image import imsave

    stream, unnamed = io.BytesIO(), cast("dict[str, str]", {"Software": None})
    imsave(stream, image, vmin=0, vmax=1, cmap=colors, format="png", metadata=unnamed)
    data = base64.b64encode(stream.getvalue()).decode()
    height, width = image.shape[:2]
    return Picture(
        Markup('<img src="data:image/png;base64,{}" alt="{}" width="{}" height="{}">').format(
            data, alt, width, height
        ),
        alt,
    )


def heat_picture(
    values: np.ndarray, alt: str, low: float | None = None, high: float | None = None
) -> Picture:
    """Numbers over time as a heat map: time to the right, channels from the bottom up.

    Args:
        values: (T, P).
        alt: What is to be seen.
        low: What the darkest colour stands for; the smallest finite number if None.
        high: What the lightest one stands for.

    Returns:
        The picture.
    """
    values = values if len(values) else np.zeros((1, values.shape[1]))
    finite = values[np.isfinite(values)]
    low = float(finite.min(initial=0 if not finite.size else np.inf)) if low is None else low
    high = float(finite.max(initial=0 if not finite.size else -np.inf)) if high is None else high
    thin = values[:: max(1, len(values) // _POINTS)]
    scaled = (thin - low) / ((high - low) or 1.0)
    return image_picture(np.clip(scaled.T[::-1], 0, 1), alt, colors="viridis")


def line_picture(lines: Sequence[tuple[str, np.ndarray]], alt: str) -> Picture:
    """Numbers over time as lines, each scaled like the others.

    Args:
        lines: Name of a colour, ``"truth"``, ``"answer"`` or ``"input"``, and (T,).
        alt: What is to be seen.

    Returns:
        The picture, 120 by 60.
    """
    finite = np.concatenate([values[np.isfinite(values)] for _, values in lines] or [np.zeros(1)])
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    drawn = Markup("").join(
        Markup('<polyline class="{}" points="{}"/>').format(color, _points(values, low, high))
        for color, values in lines
    )
    frame = Markup('<svg class="lines" viewBox="0 0 120 60" role="img" aria-label="{}">{}</svg>')
    return Picture(frame.format(alt, drawn), alt)


def _points(values: np.ndarray, low: float, high: float) -> str:
    steps = np.unique(np.linspace(0, len(values) - 1, min(len(values), _POINTS)).round())
    chosen = values[steps.astype(int)]
    x = 2 + 116 * steps / max(len(values) - 1, 1)
    y = 57 - 54 * (chosen - low) / ((high - low) or 1.0)
    pairs = zip(x, y, strict=True)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in pairs if np.isfinite(b))


def series_picture(values: np.ndarray, alt: str) -> Picture:
    """A sample that is no image: lines of its channels, or a heat map of many.

    Args:
        values: (T, P).
        alt: What is to be seen.

    Returns:
        The picture.
    """
    if values.shape[1] > LINES:
        return heat_picture(values, alt)
    return line_picture([("input", column) for column in values.T], alt)


def sample_picture(config: DataConfig, dataset: Dataset, place: int, alt: str) -> Picture:
    """A sample as a picture, whatever it is.

    Args:
        config: Which samples, and how they were prepared.
        dataset: The samples.
        place: Which of them.
        alt: What is to be seen.

    Returns:
        An image in its own shape, or the numbers over time.
    """
    image = restore_image(config, dataset, place)
    if image is not None:
        return image_picture(image, alt)
    batch = dataset.batch(torch.tensor([place]))
    steps = batch.input.shape[1] if batch.lengths is None else int(batch.lengths[0])
    return series_picture(batch.input[0, :steps].numpy(), alt)


def shaded_text(symbols: Sequence[tuple[str, float]]) -> Markup:
    """Symbols of a text, each shaded by its loss.

    Args:
        symbols: Each with its loss in nats.

    Returns:
        Elements in the order of the text; spaces and line ends stay as they are.
    """
    parts = []
    for symbol, loss in symbols:
        level = min(round(loss / 2), 4)  # 8 nats, a chance of 1 in 3,000, is as dark as it gets
        text = escape(symbol.replace("\n", "↵\n"))
        parts.append(Markup('<span class="l{}">{}</span>').format(level, text) if level else text)
    return Markup("").join(parts)
