import contextlib
from unittest import mock

import pytest
from data.made_speech import noise, wav, write
from matplotlib.figure import Figure
from report.reading import check_page, read_page

from lipschitz_rnn.experiments import load_preset, train_run
from lipschitz_rnn.report import write_report

FEW = ("model.hidden_size=6", "training.epochs=2", "training.threads=1", "training.decay_epochs=[]")


def blank(figure, stream, **_):
    stream.write("<svg></svg>")


@pytest.fixture(scope="session")
def train(tmp_path_factory):
    """Make a run of a preset with few features, once for each set of settings."""
    made = {}

    def run(preset, *settings, name="run", data_dir=None, hooks=()):
        key = (preset, name, *settings)
        if key not in made:
            folder = tmp_path_factory.mktemp("runs") / name
            config = load_preset(preset, [*FEW, *settings])
            train_run(config, folder, data_dir=data_dir, hooks=hooks)
            made[key] = folder
        return made[key]

    return run


@pytest.fixture(scope="session")
def digits(train):
    return train("digits", "data.train_size=200")


@pytest.fixture(scope="session")
def speech_folder(tmp_path_factory):
    """Prompts of noise, three frames and more."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(12):
        write(folder / "speech" / "ann" / f"{number}.wav", wav(noise(700 + 128 * number)))
    return folder


@pytest.fixture(scope="session")
def page_of(tmp_path_factory):
    """Write the report of runs, check what holds of every report, and read it.

    Figures are blank unless they are asked for: drawing them takes longer than all else.
    """

    def make(*runs, drawn=False, **options):
        output = tmp_path_factory.mktemp("pages") / "page.html"
        options = {"analyses": [], **options}
        with contextlib.nullcontext() if drawn else mock.patch.object(Figure, "savefig", blank):
            written = write_report(runs, output, **options)
        page = read_page(output)
        assert written.size == output.stat().st_size
        check_page(page)
        return page, written.runs

    return make


@pytest.fixture(scope="session")
def digits_page(digits, page_of):
    return page_of(digits, drawn=True)
