"""The classifier beside others on data sets of the UCR archive: accuracy and time."""

import datetime
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from lipschitz_rnn._base.files import write_atomically
from lipschitz_rnn.benchmarks.ucr_methods import (
    METHODS,
    make_classifier,
    require_installed,
    seeds_of,
    series_for,
)
from lipschitz_rnn.data.ucr import UCRDataset, load_ucr
from lipschitz_rnn.training import count_parameters
from lipschitz_rnn.training.device import use_threads
from lipschitz_rnn.training.environment import describe_environment

DATASETS = (
    "FordA",
    "ECG5000",
    "ElectricDevices",
    "Crop",
    "MelbournePedestrian",
    "PhalangesOutlinesCorrect",
    "FaceAll",
    "MedicalImages",
    "ChlorineConcentration",
    "CricketX",
    "ItalyPowerDemand",
    "GunPoint",
)
"""Chosen for variety of origin and size, before anything was measured on them."""

_LIBRARIES = ("scikit-learn", "aeon", "numba")

Report = Callable[[str], None]


@dataclass(frozen=True)
class UCRSettings:
    """What is measured.

    Attributes:
        datasets: Names of data sets.
        methods: Keys of ``METHODS``.
        seeds: Of what a method draws; a method that draws nothing is measured once.
        threads: Of every method.
    """

    datasets: tuple[str, ...] = DATASETS
    methods: tuple[str, ...] = tuple(METHODS)
    seeds: tuple[int, ...] = (0,)
    threads: int = 1


def run_ucr(
    settings: UCRSettings,
    cells: Path,
    *,
    data_dir: Path | None = None,
    report: Report | None = None,
) -> dict[str, Any]:
    """Measure every method on every data set, but for what was measured before.

    Nothing is measured before every data set and library is found. The test parts serve only to
    score.

    Args:
        settings: What to measure.
        cells: Folder with a file for each measurement, kept as soon as it is made. One that is
            there is taken over if it is of the same data and settings.
        data_dir: A data folder that holds ``ucr/``; see :func:`lipschitz_rnn.data.ucr.load_ucr`.
        report: Takes a line for each measurement.

    Returns:
        ``results``, one table a measurement, and the ``environments`` they were made in.

    Raises:
        InputError: If a data set is missing or wrong, or a library is missing.
    """
    require_installed(settings.methods)
    datasets = [load_ucr(name, data_dir=data_dir) for name in settings.datasets]
    cells.mkdir(parents=True, exist_ok=True)
    found = []
    for method in (name for name in METHODS if name in settings.methods):
        for dataset in datasets:
            for seed in seeds_of(method, settings.seeds):
                cell = _cell(dataset, method, seed, settings.threads, cells)
                found.append(cell)
                if report is not None:
                    seconds = sum(cell[key]["clock"] for key in ("fit_seconds", "predict_seconds"))
                    score = f"{100 * cell['accuracy']:.2f} %, {seconds:.1f} s"
                    report(f"{dataset.name}, {METHODS[method]}, seed {seed}: {score}")
    return _merged(found)


def _cell(
    dataset: UCRDataset, method: str, seed: int, threads: int, folder: Path
) -> dict[str, Any]:
    """One measurement, from its file or made now."""
    wanted = {
        "dataset": dataset.name,
        "method": method,
        "seed": seed,
        "data": dataset.digest,
        "settings": settings_of(method, threads),
    }
    path = folder / f"{dataset.name}-{method}-seed{seed}.json"
    try:
        kept = json.loads(path.read_bytes())
        if all(kept[key] == value for key, value in wanted.items()):
            return dict(kept)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # there is none, or none of ours
    classifier = make_classifier(method, seed, threads)
    cell = wanted | measure(classifier, method, dataset, threads)
    write_atomically(path, json.dumps(cell, indent=1).encode() + b"\n")
    return cell


def measure(classifier: Any, method: str, dataset: UCRDataset, threads: int) -> dict[str, Any]:
    """Fit a classifier on the training part and score it on the test part.

    Args:
        classifier: What :func:`make_classifier` returned.
        method: Its name.
        dataset: The data.
        threads: Of torch.

    Returns:
        ``accuracy`` on the test part; seconds, by the clock and of the processor (which other work
        on the machine hardly changes); sizes, and the environment.
    """
    train, test = (series_for(method, part) for part in (dataset.train, dataset.test))
    with use_threads(threads):
        environment = describe_environment() | _versions()
        began = _clocks()
        classifier.fit(train, dataset.train.labels)
        fitted = _clocks()
        answers = classifier.predict(test)
        ended = _clocks()
    model = getattr(classifier, "model_", None)
    return {
        "accuracy": float(np.mean(answers == dataset.test.labels)),
        "fit_seconds": _between(began, fitted),
        "predict_seconds": _between(fitted, ended),
        "parameters": None if model is None else count_parameters(model),
        "architecture": _plain(getattr(classifier, "architecture_", None)),
        "train_size": len(dataset.train),
        "test_size": len(dataset.test),
        "steps": dataset.train.values.shape[1],
        "classes": len(np.unique(dataset.train.labels)),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "environment": environment,
    }


def settings_of(method: str, threads: int) -> dict[str, Any]:
    """Parameters of a method's classifier, but for its seed, as JSON holds them.

    Args:
        method: A key of ``METHODS``.
        threads: Of every method.

    Returns:
        Those parameters, and ``threads``.
    """
    parameters = make_classifier(method, 0, threads).get_params(deep=False) | {"threads": threads}
    parameters.pop("random_state", None)
    return dict(_plain(parameters))


def _plain(value: Any) -> Any:
    """A value as JSON holds it, a dataclass as a table."""
    value = asdict(value) if is_dataclass(value) else value  # type: ignore[arg-type]
    return json.loads(json.dumps(value, default=str))


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _between(before: tuple[float, float], after: tuple[float, float]) -> dict[str, float]:
    return {"clock": after[0] - before[0], "processor": after[1] - before[1]}


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _merged(cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Measurements together, each environment written once and named by its number."""
    environments: list[dict[str, Any]] = []
    results = []
    for cell in cells:
        if cell["environment"] not in environments:
            environments.append(cell["environment"])
        results.append(cell | {"environment": environments.index(cell["environment"])})
    return {"environments": environments, "results": results}
