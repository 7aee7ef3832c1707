"""The worst samples are the worst, the matrix is the model's, and pictures are the samples."""

import base64
import io
import re

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from lipschitz_rnn.data import SequenceDataset, load_digits
from lipschitz_rnn.experiments import build_data, evaluate_run, load_trained
from lipschitz_rnn.report.confusion import choose_examples
from lipschitz_rnn.report.pictures import image_picture, restore_image, sample_picture, shaded_text
from lipschitz_rnn.report.source import open_source
from lipschitz_rnn.report.traces import sample_losses
from lipschitz_rnn.training import DataConfig


def answers_of(run):
    """Logits and classes of all test samples, directly."""
    trained = load_trained(run)
    batch = build_data(trained.config).test.batch(slice(None))
    with torch.no_grad():
        return trained.model(batch.input), batch.target


def test_the_matrix_is_that_of_the_model(digits, digits_page):
    page, (run,) = digits_page
    logits, target = answers_of(digits)
    predicted = logits.argmax(-1)
    rows = page.tables["Confusion matrix: true classes in rows, answers in columns"]
    counts = np.array([[int(cell) for cell in row[1:-1]] for row in rows[1:-1]])
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (target.numpy(), predicted.numpy()), 1)
    np.testing.assert_array_equal(counts, expected)
    assert counts.sum() == run.confusion.total == 360
    assert np.trace(counts) == run.confusion.right
    errors = [(*pair, n) for pair, n in np.ndenumerate(expected) if n and pair[0] != pair[1]]
    errors = sorted(errors, key=lambda error: (-error[2], *error[:2]))[:20]
    assert run.confusion.pairs == tuple((str(true), str(said), n) for true, said, n in errors)
    assert run.confusion.most_frequent == expected.sum(1).max() / 360
    found = evaluate_run(digits)
    assert run.confusion.right / run.confusion.total == pytest.approx(found.figures["accuracy"])
    recall = [100 * counts[c, c] / max(counts[c].sum(), 1) for c in range(10)]
    assert [row[-1] for row in rows[1:-1]] == [f"{x:.1f}%" for x in recall]
    sums = counts.sum(0)
    precision = [f"{100 * counts[c, c] / n:.1f}%" if n else "none" for c, n in enumerate(sums)]
    assert rows[-1][1:-1] == precision


def test_the_worst_examples_have_the_highest_losses(digits, digits_page):
    page, (run,) = digits_page
    logits, target = answers_of(digits)
    losses = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    first = [one for one in run.confusion.examples if one.is_first]
    order = losses.argsort(descending=True)[: len(first)]
    assert len(first) == 24
    assert {one.place for one in first} == set(order.tolist())
    shown = [one.loss for one in first]
    assert shown == sorted(shown, reverse=True)
    np.testing.assert_allclose(shown, losses[order].numpy(), rtol=1e-5)
    items = page.all("li")[-len(run.confusion.examples) :]
    assert [item["data-true"] for item in items] == [one.true for one in run.confusion.examples]
    for one in run.confusion.examples:
        assert one.true == str(int(target[one.place]))
        assert one.predicted == str(int(logits[one.place].argmax()))


def test_every_error_that_occurs_can_be_seen(digits_page):
    _, (run,) = digits_page
    shown = {(one.true, one.predicted) for one in run.confusion.examples}
    names = run.confusion.names
    cells = {
        (row.name, names[column])
        for row in run.confusion.rows
        for column, count in enumerate(row.counts)
        if count and row.name != names[column]
    }
    assert len(run.confusion.examples) == 120 or cells <= shown


def test_few_samples_have_few_examples():
    from lipschitz_rnn.report.answers import ClassAnswers

    numbers = torch.tensor([0.1, 3.0])
    answers = ClassAnswers(torch.tensor([0, 1]), torch.tensor([0, 0]), numbers, numbers, numbers, 2)
    assert choose_examples(answers) == [1, 0]
    assert answers.counts.tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize("options", [
    {"steps": 64}, {"steps": 8}, {"steps": 64, "permutation": "seed-3"},
    {"steps": 16, "permutation": "numpy-5"},
])  # fmt: skip
def test_an_image_is_restored_however_it_is_read(options):
    from lipschitz_rnn.data import load_split

    images = load_digits().test_images
    config = DataConfig("digits", validation_size=137, **options)
    test = load_split("digits", **config.options).test
    for place in (0, 7, 359):
        np.testing.assert_allclose(restore_image(config, test, place), images[place] / 16)


@pytest.mark.parametrize("options", [
    {}, {"pipeline": "authors"}, {"task": "noise"}, {"task": "noise", "pipeline": "authors"},
])  # fmt: skip
def test_a_colour_image_is_restored_however_it_is_read(options):
    from lipschitz_rnn.data.scifar import _dataset

    image = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(1, 32, 32, 3)
    task, pipeline = options.get("task", "pixels"), options.get("pipeline", "task")
    data = _dataset(image, np.zeros(1), task, pipeline, None)
    config = DataConfig("cifar10", **options)
    np.testing.assert_allclose(restore_image(config, data, 0), image[0] / 255, rtol=1e-6)


def decoded(picture):
    (data,) = re.findall(r'base64,([^"]*)"', picture.markup)
    return imread(io.BytesIO(base64.b64decode(data)), format="png")


def test_a_picture_has_the_pixels_of_the_image():
    image = np.linspace(0, 1, 12).reshape(3, 4)
    pixels = decoded(image_picture(image, 'a "picture"'))
    np.testing.assert_allclose(pixels[..., 0], image, atol=1 / 255)
    assert 'alt="a &#34;picture&#34;"' in image_picture(image, 'a "picture"').markup


def test_other_sequences_are_lines_or_heat_maps():
    values = torch.linspace(0, 1, 40).view(1, 20, 2)
    data = SequenceDataset(values, torch.zeros(1, dtype=torch.int64))
    picture = sample_picture(DataConfig("arrays"), data, 0, "two channels")
    assert picture.markup.count("<polyline") == 2
    wide = SequenceDataset(torch.rand(1, 20, 9), torch.zeros(1, dtype=torch.int64))
    assert decoded(sample_picture(DataConfig("arrays"), wide, 0, "many")).shape[:2] == (9, 20)


def test_symbols_are_shaded_by_their_loss_and_escaped():
    text = shaded_text([("a", 0.0), ("<", 4.0), ("\n", 100.0)])
    assert text == 'a<span class="l2">&lt;</span><span class="l4">↵\n</span>'


PENDULUM = ("data.sample_count=60", "data.validation_size=6", "data.steps=12")
ADDING = ("data.steps=10", "data.sample_count=60", "data.validation_size=10")


@pytest.mark.parametrize("pieces", [(), ("training.truncate_steps=5",)], ids=["whole", "cut"])
def test_numbers_at_every_step(train, page_of, pieces):
    folder = train("pendulum", *PENDULUM, *pieces, name="pendulum")
    page, (run,) = page_of(folder)
    source = open_source(folder, "x")
    trained = load_trained(folder)
    batch = source.split.test.batch(slice(None))
    with torch.no_grad():
        answers = trained.model(batch.input, dt=batch.dt)
    losses = (answers - batch.target).square().mean((1, 2))
    torch.testing.assert_close(sample_losses(source, source.split.test), losses)
    order = losses.argsort(descending=True).tolist()
    assert [one.name for one in run.traces.shown] == [f"sample {place}" for place in order]
    assert [len(one.pictures) for one in run.traces.shown] == [3] * 6
    worst = np.abs((answers - batch.target)[order[0], :, 1].numpy()).max()
    assert f"number 2 of 3 over 12 steps: the answer is off by {worst:.4g}" in page.source
    assert run.headline.what == "test mean squared error"
    assert "a trivial predictor, mean" in dict(run.headline.beside)


def test_one_number_for_each_sample(train, page_of):
    folder = train("adding", *ADDING)
    page, (run,) = page_of(folder)
    logits, target = answers_of(folder)
    losses = (logits - target).square().mean(-1)
    assert run.traces.shown[0].loss == pytest.approx(float(losses.max()))
    place = int(losses.argmax())
    shown = (f"{float(target[place, 0]):.4g}", f"{float(logits[place, 0]):.4g}")
    assert run.traces.shown[0].answers == (shown,)
    assert f"truth {shown[0]}, answer {shown[1]}" in page.text


def test_speech(train, page_of, speech_folder):
    folder = train("speech", data_dir=speech_folder)
    page, (run,) = page_of(folder, data_dir=speech_folder)
    shown = run.traces.shown
    assert [caption for caption, _ in shown[0].pictures] == ["truth", "answer", "size of the error"]
    assert decoded(shown[0].pictures[0][1]).shape[0] == 129
    source = open_source(folder, "x", data_dir=speech_folder)
    found = evaluate_run(folder, data_dir=speech_folder)
    losses = sample_losses(source, source.split.test)
    frames = source.split.test.counts - 1
    assert float((losses * frames).sum() / frames.sum()) == pytest.approx(found.loss, rel=1e-5)
    assert "a trivial predictor, persistence" in page.text


def test_texts(train, page_of):
    folder = train("shakespeare", "data.train_size=2000", "training.epochs=1")
    page, (run,) = page_of(folder)
    found = evaluate_run(folder)
    assert run.passages.total == found.count
    assert run.passages.mean == pytest.approx(found.loss, rel=1e-5)
    losses = [one.loss for one in run.passages.shown]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > run.passages.mean
    from lipschitz_rnn.data.shakespeare import read_shakespeare

    plain = re.sub("<[^>]*>", "", run.passages.shown[0].text).replace("↵", "")
    import html

    assert html.unescape(plain) in read_shakespeare()
    assert run.headline.what == "test bits per character"
    assert run.confusion is run.traces is None
    assert "The most surprising symbols" in page.text


def test_symbols_at_every_step(train, page_of):
    settings = ("data.steps=12", "data.sample_count=60", "data.validation_size=10")
    folder = train("copying", *settings)
    _, (run,) = page_of(folder)
    found = evaluate_run(folder)
    assert run.passages.mean == pytest.approx(found.loss, rel=1e-5)
    assert run.passages.shown[0].answered is not None
    assert run.headline.what == "test accuracy"


def test_a_long_series(train, page_of, tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    random = np.random.RandomState(0)
    for part in ("train", "validation", "test"):
        values = random.randn(200, 2).astype(np.float32)
        np.save(folder / f"{part}_input.npy", values)
        np.save(folder / f"{part}_target.npy", values.cumsum(0)[:, :1] / 10)
    settings = ["data.steps=20", "training.batch_size=2", "training.eval_batch_size=4"]
    run = train("arrays", f"data.path={str(folder)!r}", *settings)
    _, (report,) = page_of(run)
    assert report.traces.total == 4 * 3  # rows of 50 steps, in segments of 20
    assert report.traces.shown[0].name.startswith("row ")
