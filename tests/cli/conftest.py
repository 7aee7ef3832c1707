import numpy as np
import pytest
from cli.streamed_runs import read_csv, run_stream, train


@pytest.fixture(scope="session")
def streamed(tmp_path_factory):
    """The folder of a small run by name, trained when it is first asked for."""
    folder, made = tmp_path_factory.mktemp("streamed"), {}

    def get(name):
        if name not in made:
            made[name] = train(name, folder / name)
        return made[name]

    return get


@pytest.fixture
def stream(monkeypatch, capsys):
    """Code, and what was written to both streams."""

    def call(*arguments, rows=b""):
        code = run_stream(monkeypatch, *arguments, rows=rows)
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def answers(stream):
    """Numbers of the answers to rows that are all good, in CSV."""

    def call(*arguments, rows):
        code, out, err = stream(*arguments, rows=rows)
        assert code == 0, err
        return np.array([row[1:] for row in read_csv(out)[1]], dtype=float)

    return call
