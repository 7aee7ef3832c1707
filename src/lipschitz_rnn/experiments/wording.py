"""How figures of models are written for people: on the terminal, in reports."""

import math

_NAMES = {
    "accuracy": "accuracy",
    "bits_per_character": "bits per character",
    "mse": "mean squared error",
    "mse_db": "mean squared error in dB²",
    "perplexity": "perplexity",
}


def figure_name(name: str) -> str:
    """A figure's name in words.

    Args:
        name: As in :class:`lipschitz_rnn.training.EvaluationResult`.

    Returns:
        Such as ``"bits per character"``.
    """
    return _NAMES.get(name, name.replace("_", " "))


def figure_text(name: str, value: float | None) -> str:
    """A figure's value.

    Args:
        name: As in :func:`figure_name`.
        value: None or NaN where there is none.

    Returns:
        Per cent for accuracies; four digits otherwise.

    Examples:
        >>> figure_text("accuracy", 0.98765), figure_text("mse", 0.000123456)
        ('98.77%', '0.0001235')
    """
    if value is None or math.isnan(value):
        return "none"
    if name == "accuracy":
        return f"{value:.2%}"
    return f"{value:.1f}" if value >= 1000 else f"{value:.4g}" if value < 1 else f"{value:.3f}"


def samples_name(metric: str) -> str:
    """What the samples of a task are called.

    Args:
        metric: Of the task.

    Returns:
        ``"symbols"`` for texts, ``"sequences"`` otherwise.
    """
    return "symbols" if metric in {"bits_per_character", "perplexity"} else "sequences"
