"""Made files in the format of the UCR archive: what is read, and what is refused."""

import hashlib

import numpy as np
import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import DataUnavailableError
from lipschitz_rnn.data.ucr import load_ucr, read_ucr

TRAIN = "1\t0.5\t-1.25\t3\n-1\t1e-3\tNaN\t2\n"
TEST = "-1\t7\t8\t9\n1\t1\tNaN\tNaN\n1\t0\t0\t0\n"


@pytest.fixture
def make(tmp_path):
    """Write both files of a data set ``Made``; its folder."""

    def write(train=TRAIN, test=TEST):
        folder = tmp_path / "ucr" / "Made"
        folder.mkdir(parents=True, exist_ok=True)
        for which, text in (("TRAIN", train), ("TEST", test)):
            if text is not None:
                (folder / f"Made_{which}.tsv").write_text(text)
        return folder

    return write


def test_values_and_labels(make):
    found = read_ucr(make())
    assert found.name == "Made"
    np.testing.assert_array_equal(found.train.values, [[0.5, -1.25, 3], [1e-3, np.nan, 2]])
    np.testing.assert_array_equal(found.train.labels, [1, -1])
    np.testing.assert_array_equal(found.test.values[0], [7, 8, 9])
    np.testing.assert_array_equal(found.test.labels, [-1, 1, 1])
    assert (len(found.train), len(found.test)) == (2, 3)


def test_nan_at_the_end_is_padding_and_elsewhere_a_missing_value(make):
    found = read_ucr(make())
    np.testing.assert_array_equal(found.train.lengths, [3, 3])
    assert found.train.series is found.train.values
    np.testing.assert_array_equal(found.test.lengths, [3, 1, 3])
    assert [len(one) for one in found.test.series] == [3, 1, 3]
    np.testing.assert_array_equal(found.test.series[1], [1])


def test_the_digest_is_that_of_sha256sum(make):
    lines = "".join(
        f"{hashlib.sha256(text.encode()).hexdigest()}  Made_{which}.tsv\n"
        for which, text in (("TEST", TEST), ("TRAIN", TRAIN))
    )
    assert read_ucr(make()).digest == hashlib.sha256(lines.encode()).hexdigest()


def test_windows_line_ends_and_padded_numbers_are_read_alike(make):
    plain = read_ucr(make())
    other = read_ucr(make(TRAIN.replace("\n", "\r\n").replace("\t", " \t "), TEST))
    np.testing.assert_array_equal(other.train.values, plain.train.values)


@pytest.mark.parametrize(
    ("train", "test", "wrong"),
    [
        (TRAIN, None, "Made_TEST.tsv: expected a file, got none"),
        ("", TEST, "Made_TRAIN.tsv: expected as many numbers in every line"),
        (TRAIN[:-3], TEST, "number of columns changed from 4 to 3 at row 2"),
        (TRAIN[:-1].replace("3\n", "x\n"), TEST, "could not convert string 'x'"),
        ("<html>not found</html>\n", TEST, "could not convert string"),
        ("1,2,3\n2,3,4\n", TEST, "could not convert string"),
        ("1\n2\n", TEST, "expected a class and values in every line"),
        (TRAIN.replace("-1\t", "1.5\t", 1), TEST, "in the first column, got 1.5 in line 2"),
        (TRAIN.replace("-1\t", "NaN\t", 1), TEST, "in the first column, got nan in line 2"),
        (TRAIN.replace("-1\t", "inf\t", 1), TEST, "in the first column, got inf in line 2"),
        (TRAIN.replace("1e-3", "-inf"), TEST, "expected finite values, or NaN for missing ones"),
        (TRAIN + "1\tNaN\tNaN\tNaN\n", TEST, "expected a value in every line, got none in line 3"),
        (TRAIN, TEST.replace("\t9", "\t9\t9").replace("NaN\n", "NaN\t1\n").replace("0\n", "0\t0\n"),
         "got 3 steps in TRAIN and 4 in TEST"),
        (TRAIN.replace("-1\t", "1\t", 1), TEST, "expected at least 2 classes in TRAIN, got 1"),
        (TRAIN, TEST.replace("-1\t", "5\t", 1), "only classes of TRAIN in TEST, got also 5"),
    ],
)  # fmt: skip
def test_wrong_files_are_one_line(make, train, test, wrong):
    folder = make(train, test)
    with pytest.raises(InputError) as caught:
        read_ucr(folder)
    message = str(caught.value)
    assert wrong in message
    assert "\n" not in message
    assert str(folder) in message


def test_where_it_is_looked_for(make, tmp_path, monkeypatch):
    folder = make()
    monkeypatch.delenv("LIPSCHITZ_RNN_DATA", raising=False)
    assert load_ucr("Made", data_dir=tmp_path).digest == read_ucr(folder).digest
    monkeypatch.setenv("LIPSCHITZ_RNN_DATA", str(tmp_path))
    assert load_ucr("Made").digest == read_ucr(folder).digest
    with pytest.raises(InputError, match=r"folder Mode/ in .*, got none. Did you mean 'Made'\?"):
        load_ucr("Mode")
    with pytest.raises(InputError, match="Put the archive's own folders"):
        load_ucr("FordA")


def test_no_folder_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("LIPSCHITZ_RNN_DATA", raising=False)
    with pytest.raises(DataUnavailableError, match="--data-dir DIR, or set LIPSCHITZ_RNN_DATA"):
        load_ucr("FordA", data_dir=tmp_path)
