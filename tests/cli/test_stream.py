"""``lipschitz-rnn stream``: rows in, the offline answers out."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from cli.streamed_runs import as_csv, close, offline
from matching import assert_matches

from lipschitz_rnn.data import load_digits

RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize("chunk", [1, 7, 4096])
@pytest.mark.parametrize("run", ["digits", "lstm", "contractive"])
def test_classes_of_pixels(streamed, stream, answers, run, chunk):
    """Scaled by 1/16, as in training; an image may end, and the next one begin, anywhere."""
    folder = streamed(run)
    pixels = load_digits().test_images[:30].reshape(-1, 8)
    logits = offline(folder, pixels.astype(np.float32) / 16)
    found = answers(folder, "--chunk", chunk, rows=as_csv(pixels))
    assert found[:, 0].tolist() == logits.argmax(-1).tolist()
    shares = answers(folder, "--probabilities", "--chunk", chunk, rows=as_csv(pixels))
    close(shares, logits.softmax(-1))
    code, out, err = stream(folder, rows=as_csv(pixels))
    assert code == 0
    assert out.startswith("row,class\n1,")
    assert "whole numbers from 0 to 16, multiplied by 0.0625 as in training" in err
    assert err.endswith("240 rows answered, 0 skipped\n")


def test_values_on_the_models_own_scale(streamed, answers):
    folder, input = streamed("digits"), np.random.default_rng(0).normal(size=(20, 8))
    found = answers(folder, "--scale", "0.5", "--probabilities", rows=as_csv(input))
    close(found, offline(folder, (input * 0.5).astype(np.float32)).softmax(-1))


def test_missing_values_are_held(streamed, answers):
    folder = streamed("pendulum")
    expected = offline(folder, np.float32([[0.5], [0.5], [-1], [-1]]))
    close(answers(folder, rows="torque\n0.5\n\nnan\n-1\nnull\n"), expected)
    close(answers(folder, "--output", "csv", rows="[0.5]\n[null]\n[-1]\n[NaN]\n"), expected)


def test_durations(streamed, answers):
    folder, dt = streamed("pendulum"), [0.5, 2.0, 0.0, 1.25]
    rows = "dt,torque\n" + "".join(f"{d},{d - 1}\n" for d in dt)
    found = answers(folder, "--dt", "dt", rows=rows)
    input = np.float32([[d - 1] for d in dt])
    expected = offline(folder, input, dt=torch.tensor([dt], dtype=torch.float64))
    close(found[:, 0], dt)
    close(found[:, 1:], expected)


def test_time_stamps(streamed, stream, answers):
    """The answer at a stamp is that of the step that ends there; the first is of no input."""
    folder, time = streamed("pendulum"), [1.7e9, 1.7e9 + 0.05, 1.7e9 + 0.25, 1.7e9 + 0.5]
    rows = "seconds,torque\n" + "".join(f"{t!r},{k}\n" for k, t in enumerate(time))
    found = answers(folder, "--time", "seconds", "--time-unit", "0.1", rows=rows)
    dt = torch.tensor(np.diff(time) / 0.1).unsqueeze(0)
    expected = offline(folder, np.float32([[0], [1], [2]]), dt=dt)
    assert found[:, 0].tolist() == time
    close(found[1:, 1:], expected)
    dates = rows.replace("1700000000.0,", "2023-11-14T22:13:20Z,")
    assert (answers(folder, "--time", "1", "--time-unit", "0.1", rows=dates) == found).all()
    _, _, err = stream(folder, rows="1\n2\n")
    assert "trained with times; here every row is held for 1 step" in err


def interleaved(streams):
    """Rows of several streams in a random order, each stream's own order kept."""
    left = {name: list(enumerate(rows)) for name, rows in streams.items()}
    random, order = np.random.default_rng(1), []
    while left:
        name = random.choice(list(left))
        order.append((name, left[name].pop(0)[1]))
        if not left[name]:
            del left[name]
    return order


@pytest.mark.parametrize("chunk", [1, 5, 4096])
def test_many_streams_at_once(streamed, stream, chunk):
    folder, random = streamed("pendulum"), np.random.default_rng(0)
    streams = {}
    for name, count in {"a": 9, "b, c": 3, "ä": 9, "d": 2}.items():
        times, values = random.random(count).cumsum(), random.normal(size=count)
        streams[name] = list(zip(times.tolist(), values.tolist(), strict=True))
    order = interleaved(streams)
    rows = "".join(json.dumps({"id": name, "t": t, "x": x}) + "\n" for name, (t, x) in order)
    options = "--time", "t", "--stream", "id", "--chunk", chunk
    code, out, _ = stream(folder, *options, rows=rows)
    assert code == 0
    found = [json.loads(line) for line in out.splitlines()]
    assert [(f["row"], f["stream"], f["time"]) for f in found] == [
        (k, name, t) for k, (name, (t, _)) in enumerate(order, 1)
    ]
    for name, own in streams.items():
        times, values = np.array(own).T
        dt = torch.tensor(np.diff(times)).unsqueeze(0)
        expected = offline(folder, values[:-1, None].astype(np.float32), dt=dt)
        mine = [[f["y0"], f["y1"], f["y2"]] for f in found if f["stream"] == name]
        close(np.array(mine)[1:], expected)
    code, out, _ = stream(folder, *options, "--output", "csv", rows=rows)
    header, *lines = csv.reader(io.StringIO(out))
    assert header == ["row", "stream", "time", "y0", "y1", "y2"]
    assert [line[1] for line in lines] == [name for name, _ in order]


def test_a_file_instead_of_standard_input(streamed, stream, tmp_path):
    folder, rows = streamed("pendulum"), "1\n2\n3\n"
    (tmp_path / "rows.csv").write_text(rows)
    assert stream(folder, tmp_path / "rows.csv")[:2] == stream(folder, "-", rows=rows)[:2]
    code, out, err = stream(folder, tmp_path / "absent.csv")
    assert (code, out) == (2, "")
    assert "absent.csv" in err


def test_scaled_input_of_prepared_pixels(stream):
    """Such a model is streamed by who gives rows as it reads them."""
    run = RESULTS / "scifar-noise/short-scifar-noise-jpeg-seed1"
    code, out, _ = stream(run, "--scale", "1", rows=",".join("0" * 96) + "\n")
    assert code == 0
    assert len(out.splitlines()) == 2


def test_twenty_thousand_rows(streamed, answers):
    """In pieces of any size, equal to one long sequence."""
    folder, input = streamed("pendulum"), np.random.default_rng(0).normal(size=(20_000, 1))
    text = as_csv(input).encode()
    cuts = np.sort(np.random.default_rng(1).integers(0, len(text), 200))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    small = [piece[i : i + 60_000] for piece in pieces for i in range(0, len(piece), 60_000)]
    expected = offline(folder, np.float32(np.loadtxt(io.StringIO(text.decode()), ndmin=2)))
    found = torch.tensor(answers(folder, rows=small), dtype=torch.float32)
    assert_matches("answers", found, expected, steps=20_000)  # six written digits are far below
