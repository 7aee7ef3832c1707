"""Arrays on disk: read by indexing, the same numbers as in memory, and refused where wrong."""

import hashlib
import os

import numpy as np
import pytest
import torch
from data.array_files import ANSWERS, INPUTS, PARTS, make_arrays, save

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import ArrayDataset, SequenceDataset, SeriesStream, load_split, npy
from lipschitz_rnn.data.npy import map_array


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LIPSCHITZ_RNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LIPSCHITZ_RNN_DATA", raising=False)
    monkeypatch.setattr(npy, "_FRESH", 0)


@pytest.mark.parametrize("kind", ["classes", "values", "symbols", "frames"])
@pytest.mark.parametrize("series", [False, True])
def test_what_is_asked_follows_from_the_shapes(tmp_path, kind, series):
    every_step = kind in {"symbols", "frames"}
    if series and not every_step:
        return
    arrays = make_arrays(kind, series=series)
    split = load_split("arrays", path=save(tmp_path, arrays), **({"steps": 7} if series else {}))
    assert (split.kind, split.output_size, split.timed) == (kind, ANSWERS, False)
    assert split.train.input_size == INPUTS
    assert isinstance(split.train, SeriesStream if series else ArrayDataset)
    for part, count in PARTS.items():
        assert len(getattr(split, part)) == (40 * count if series else count)
    first = load_split("arrays", path=tmp_path, train_size=9, steps=7 if series else None)
    assert (len(first.train), first.digest) == (9, split.digest)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int16"])
def test_a_batch_is_what_memory_would_give(tmp_path, dtype, order):
    arrays = make_arrays("frames", dtype=dtype, dt=True)
    split = load_split(
        "arrays", path=save(tmp_path, {k: np.asarray(v, order=order) for k, v in arrays.items()})
    )
    scale = {"uint8": 1 / 255, "int16": 1 / 32768}.get(dtype, 1.0)
    numbers = arrays["train_input"].astype("float64" if dtype == "int16" else dtype)
    memory = SequenceDataset(
        torch.from_numpy(numbers),
        torch.from_numpy(arrays["train_target"]).float(),
        scale,
        dt=torch.from_numpy(arrays["train_dt"]).float(),
    )
    index = torch.tensor([7, 2, 2, 9])
    got, wanted = split.train.batch(index), memory.batch(index)
    for name in ("input", "target", "dt"):
        one, other = getattr(got, name), getattr(wanted, name)
        assert one.dtype == torch.float32
        assert torch.equal(one, other)
    assert got.lengths is None


def test_a_stretch_is_a_part_of_the_whole(tmp_path):
    arrays = make_arrays("symbols", lengths=True, dt=True)
    rows = load_split("arrays", path=save(tmp_path, arrays)).train.open_batch(
        torch.tensor([3, 0, 8])
    )
    whole = rows.whole()
    assert torch.equal(whole.lengths, torch.from_numpy(arrays["train_lengths"][[3, 0, 8]]))
    assert torch.equal(whole.lengths, rows.lengths)
    assert whole.input.shape[1] == int(whole.lengths.max())
    for first in (torch.tensor([2, 2, 2]), torch.tensor([0, 3, 1])):
        part = rows.read(first, 3)
        places = list(zip((3, 0, 8), first.tolist(), strict=True))
        for name in ("input", "target", "dt"):
            wanted = np.stack([arrays[f"train_{name}"][row, a : a + 3] for row, a in places])
            got = getattr(part, name)
            assert torch.equal(got, torch.from_numpy(wanted).to(got.dtype))


def test_a_series_is_read_side_by_side(tmp_path):
    arrays = make_arrays("frames", series=True, dt=True)
    stream = load_split("arrays", path=save(tmp_path, arrays), steps=30).train
    batches = [stream.batch(segment) for segment in stream.plan(3)]
    assert [batch.input.shape[1] for batch in batches] == [30, 30, 30, 30, 13]  # 400 // 3 = 133
    for name, file in (("input", "input"), ("target", "target"), ("dt", "dt")):
        read = torch.cat([getattr(batch, name) for batch in batches], 1)
        wanted = torch.from_numpy(arrays[f"train_{file}"][:399]).float()
        assert torch.equal(read.flatten(0, 1), wanted)
    with pytest.raises(InputError, match="at least 500 steps for 500 rows, got 400"):
        stream.plan(500)


def test_the_digest_covers_every_byte_and_nothing_else(tmp_path):
    arrays = make_arrays("classes", lengths=True)
    first = load_split("arrays", path=save(tmp_path / "a", arrays)).digest
    os.utime(tmp_path / "a/train_input.npy", (1, 1))
    assert load_split("arrays", path=tmp_path / "a").digest == first
    assert load_split("arrays", path=save(tmp_path / "b", arrays)).digest == first
    lines = "".join(
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted((tmp_path / "a").iterdir())
    )
    assert first == hashlib.sha256(lines.encode()).hexdigest()  # sha256sum *.npy | sha256sum
    for name in arrays:
        folder = save(tmp_path / f"without_{name}", arrays)
        content = bytearray((folder / f"{name}.npy").read_bytes())
        content[-8] ^= 1
        (folder / f"{name}.npy").write_bytes(content)
        assert load_split("arrays", path=folder).digest != first


def test_a_file_is_read_whole_once(tmp_path, monkeypatch):
    save(tmp_path / "a", make_arrays("classes"))
    read, reads = npy._read, []
    monkeypatch.setattr(npy, "_read", lambda path: reads.append(path.name) or read(path))
    before = load_split("arrays", path=tmp_path / "a").digest
    assert len(reads) == 6
    assert load_split("arrays", path=tmp_path / "a").digest == before
    assert len(reads) == 6
    values = np.load(tmp_path / "a/test_input.npy")
    values[0, 0, 0] += 1
    np.save(tmp_path / "a/test_input.npy", values)  # as long as before
    assert load_split("arrays", path=tmp_path / "a").digest != before
    assert reads[6:] == ["test_input.npy"]


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path, monkeypatch):
    """Another change within the grain of the clock would look the same."""
    monkeypatch.setattr(npy, "_FRESH", 10**12)
    load_split("arrays", path=save(tmp_path / "a", make_arrays("classes")))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", [b"", b"{", b'{"key": 1}', b'{"key": [1, 2, 3], "x": 0}'])
def test_a_damaged_note_is_read_over(tmp_path, content):
    folder = save(tmp_path / "a", make_arrays("classes"))
    before = load_split("arrays", path=folder).digest
    for note in (tmp_path / "cache/arrays").iterdir():
        note.write_bytes(content)
    assert load_split("arrays", path=folder).digest == before


def test_a_relative_path_is_looked_for_in_the_data_folder_first(tmp_path, monkeypatch):
    save(tmp_path / "data/mine", make_arrays("classes", seed=1))
    save(tmp_path / "here/mine", make_arrays("classes", seed=2))
    monkeypatch.chdir(tmp_path / "here")
    here = load_split("arrays", path="mine")
    there = load_split("arrays", path="mine", data_dir=tmp_path / "data")
    assert here.source == "folder mine"
    assert there.source == f"folder {tmp_path / 'data/mine'}"
    assert here.digest != there.digest
    with pytest.raises(InputError, match=r"got none: .*data/other, other\. If it was moved"):
        load_split("arrays", path="other", data_dir=tmp_path / "data")


def change(name, function, kind="classes", **options):
    """A folder in which one array is another."""

    def make(folder):
        arrays = make_arrays(kind, **options)
        arrays[name] = function(arrays[name])
        return save(folder, arrays)

    return make


def with_nan(place):
    def put(values):
        values[place] = np.nan
        return values

    return put


def cut(folder):
    save(folder, make_arrays("classes"))
    with (folder / "test_input.npy").open("r+b") as file:
        file.truncate(300)
    return folder


def write(content):
    def make(folder):
        save(folder, make_arrays("classes"))
        (folder / "train_input.npy").write_bytes(content)
        return folder

    return make


def without(name):
    def make(folder):
        arrays = make_arrays("classes")
        del arrays[name]
        return save(folder, arrays)

    return make


WRONG = [
    (without("test_target"), {}, r"test_target\.npy: expected a file, got none"),
    (cut, {}, r"test_input\.npy: expected 704 bytes for float32 of shape .*got 300. Was it cut"),
    (write(b""), {}, r"train_input\.npy: expected an \.npy file of numbers"),
    (write(b"\x93NUMPY\x01\x00\x05\x00{'a'"), {}, "expected an .npy file of numbers"),
    (write(b"\x93NUMPY\x09\x00"), {}, "expected an .npy file of numbers"),
    (change("train_input", lambda x: x[:0]), {}, "expected at least one number, got shape"),
    (change("train_input", lambda x: x.astype(object)), {}, "expected integers or floating"),
    (change("train_input", lambda x: x.astype(">f4")), {}, "this machine's byte order, got >f4"),
    (change("train_input", lambda x: x.astype("c8")), {}, "got complex64"),
    (
        change("train_input", lambda x: x.astype("i8")),
        {},
        r"train_input\.npy: expected float16, float32, float64, uint8, int16, got int64",
    ),
    (change("train_input", lambda x: x[0]), {}, r"\(n, T, P\), got \(12, 3\)\. If it is one long"),
    (change("train_input", lambda x: x), {"steps": 5}, "expected one long series.*Unset it"),
    (change("train_target", lambda x: x[:-1]), {}, r"train_target\.npy: expected shape \(n,\)"),
    (change("train_target", lambda x: x.astype("f4")), {}, r"train_target\.npy: expected shape"),
    (change("train_target", lambda x: x - 1), {}, "expected numbers from 0 to .*got -1 to 0"),
    (change("train_input", lambda x: x.astype("f8") * 1e39), {}, r"numbers from -3\.40282e\+38"),
    (
        change("train_input", with_nan((3, 4, 1))),
        {},
        r"train_input\.npy: expected finite numbers, got nan at \(3, 4, 1\)",
    ),
    (
        change("test_target", with_nan((2, 5, 0)), kind="frames"),
        {},
        r"test_target\.npy: expected finite numbers, got nan at \(2, 5, 0\)",
    ),
    (
        change("test_target", lambda x: np.asfortranarray(with_nan((2, 5, 0))(x)), kind="frames"),
        {},
        r"test_target\.npy: expected finite numbers, got nan at \(2, 5, 0\)",
    ),
    (
        change("test_input", lambda x: x[..., :2]),
        {},
        "expected test to be like train, got another P: 2, not 3",
    ),
    (
        change("validation_target", lambda x: x[..., :1], kind="values"),
        {},
        "expected validation to be like train, got another Q: 1, not 2",
    ),
    (
        change("validation_target", lambda x: np.ones((5, 2)), kind="classes"),
        {},
        "got another question: values, not classes",
    ),
    (
        change("train_lengths", lambda x: x * 0, lengths=True),
        {},
        r"train_lengths\.npy: expected 1 to 12, got 0 to 0",
    ),
    (change("train_lengths", lambda x: x * 13, lengths=True), {}, "expected 1 to 12, got"),
    (change("train_lengths", lambda x: x[:3], lengths=True), {}, r"expected shape \(10,\), got"),
    (change("train_lengths", lambda x: x * 1.0, lengths=True), {}, "expected integers"),
    (change("train_dt", lambda x: x[:, :3], dt=True), {}, r"train_dt\.npy: expected shape \(10,"),
    (change("train_dt", lambda x: -x, dt=True), {}, r"train_dt\.npy: expected numbers from 0"),
    (change("train_dt", lambda x: x.astype(int), dt=True), {}, "expected floating-point"),
    (
        change("train_input", lambda x: x, kind="frames", series=True, lengths=True),
        {"steps": 5},
        r"train_lengths\.npy: expected none of one long series",
    ),
    (change("train_input", lambda x: x), {"task": "x"}, "expected options among path, steps"),
]


@pytest.mark.parametrize(("make", "options", "message"), WRONG, ids=[m for *_, m in WRONG])
def test_what_is_wrong_is_said_in_one_line(tmp_path, make, options, message):
    with pytest.raises(InputError, match=message) as caught:
        load_split("arrays", path=make(tmp_path / "a"), **options)
    assert "\n" not in str(caught.value)


def test_times_in_one_part_alone_are_refused(tmp_path):
    arrays = make_arrays("classes", dt=True)
    del arrays["test_dt"]
    with pytest.raises(InputError, match="another times dt: False, not True"):
        load_split("arrays", path=save(tmp_path, arrays))


def test_a_path_is_needed():
    with pytest.raises(InputError, match="data set arrays: expected a value for path, got none"):
        load_split("arrays")


def test_nothing_is_read_before_it_is_looked_at(tmp_path):
    """A file far larger than memory, all of it a hole, opens at once."""
    path = tmp_path / "huge.npy"
    shape = (1 << 12, 1 << 20, 1 << 6)  # a terabyte
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        try:
            file.truncate(start + 4 * int(np.prod(shape)))
        except OSError:
            pytest.skip("this file system has no such large files")
    data = ArrayDataset(map_array(path), np.zeros(shape[0], np.int64))
    last = data.open_batch(torch.tensor([4095, 17])).read(torch.tensor([shape[1] - 5, 100]), 5)
    assert last.input.shape == (2, 5, 64)
    assert not last.input.any()
