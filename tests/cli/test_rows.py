"""Rows of numbers from lines of CSV and JSON, and what is said of lines that are none."""

import io
import math

import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.cli.lines import LINE_BYTES, LineReader
from lipschitz_rnn.cli.rows import Columns, RowParser
from lipschitz_rnn.experiments.stream_rows import Row, RowError


def parse(text, size=2, format="auto", **columns):
    """Rows of a text, None for lines that hold none."""
    parser = RowParser(Columns(**columns), size, format)
    lines = text if isinstance(text, list) else text.encode().split(b"\n")
    return [parser.parse(number, line) for number, line in enumerate(lines, 1)]


def rows(*args, **options):
    return [row for row in parse(*args, **options) if row is not None]


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4",
        " 1 ,\t2\r\n3,4\r\n",
        '"1","2"\n3,4',
        "a,b\n1,2\n3,4",
        "\ufeffa,b\n1,2\n\n3,4\n\n",
    ],
)
def test_csv(text):
    assert [row.values for row in rows(text)] == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    "text", ["[1,2]\n[3,4]", '{"a":1,"b":2}\n{"b":4,"a":3}', '{"v":[1,2]}\n \n{"v":[3,4]}']
)
def test_json(text):
    assert [row.values for row in rows(text)] == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    "text",
    [
        *("1,", "1,nan", "1,NaN", "1,null", "1,NA", '1,""', "[1,null]", "[1,NaN]"),
        *('{"a":1,"b":null}', '{"a":1,"b":2}\n{"a":1}'),
    ],
)
def test_missing_values(text):
    one, two = rows(text)[-1].values
    assert one == 1
    assert math.isnan(two)


def test_numbers_of_rows_are_those_of_lines():
    assert [row.number for row in rows("a,b\n1,2\n\n3,4\n")] == [2, 4]


def test_columns_by_name_and_by_number():
    text = "t,name,x,y\n1.5,a,1,2\n2.5,b,3,4"
    named = rows(text, when="t", stream="name")
    assert named == [Row(2, [1, 2], "a", 1.5), Row(3, [3, 4], "b", 2.5)]
    numbered = rows("1.5,a,1,2\n2.5,b,3,4", when="1", stream="2")
    assert [(r.values, r.stream, r.when) for r in numbered] == [
        (r.values, r.stream, r.when) for r in named
    ]
    assert rows(text, when="t", values=("y", "x"))[0].values == [2, 1]
    assert rows("1.5,a,1,2,9\n", when="1", values=("4", "3"))[0].values == [2, 1]
    objects = '{"t": 1.5, "name": "a", "x": 1, "y": 2, "z": 5}'
    assert rows(objects, when="t", stream="name", values=("y", "x"))[0] == Row(1, [2, 1], "a", 1.5)
    assert rows('{"t": 1.5, "name": 7, "v": [1, 2]}', when="t", stream="name")[0].stream == "7"


def test_whether_there_is_a_header():
    assert len(rows("1,2\n3,4", header=True)) == 1
    assert rows("0,1\n5,6", header=True, values=("1", "0"))[0].values == [6, 5]
    with pytest.raises(RowError, match="a number in column 1, got 'a'"):
        parse("a,b\n1,2", header=False)
    with pytest.raises(RowError, match="a number in column 2, got 'x'"):
        parse("1,x\n1,2")  # one number is enough: it is no header
    assert len(rows("sensor-1,1,2", stream="1")) == 1
    table = ",x,y\n0,1,2\n1,3,4"  # of pandas, whose index has no name
    assert [row.values for row in rows(table, values=("x", "y"))] == [[1, 2], [3, 4]]
    assert [row.values for row in rows(table, stream="1")] == [[1, 2], [3, 4]]
    with pytest.raises(InputError, match="expected 2 columns of inputs, got 3: , x, y"):
        parse(table)
    mixed = "0,1,t\n5,6,7"  # asked for by its name, among numbers
    assert rows(mixed, when="t") == [Row(2, [5, 6], None, 7)]
    assert math.isnan(rows(",\n1,2")[0].values[0])  # nothing at all is a row of gaps
    with pytest.raises(InputError, match=r"no header \(if it is one: --header\), got 'x'"):
        parse("1,2,3", values=("x", "2"))
    assert len(rows("sensor,x,y\nsensor-1,1,2", stream="1")) == 1


def test_time_stamps():
    stamps = ["1.5", "1e3", "1970-01-01T00:00:01.5", "1970-01-01T01:00:00+01:00", "1970-01-02"]
    expected = [1.5, 1000, 1.5, 0, 86_400]
    text = "\n".join(f"{stamp},1,2" for stamp in stamps)
    assert [row.when for row in rows(text, when="1")] == expected
    text = "\n".join(f'{{"t":"{stamp}","v":[1,2]}}' for stamp in stamps)
    assert [row.when for row in rows(text, when="t")] == expected
    for bad in ("noon,1,2", ",1,2"):
        with pytest.raises(RowError, match="a number or an ISO date as time"):
            parse(bad, when="1", header=False)


BAD = [
    ("1,2\n3", {}, "^expected 2 numbers, got 1$"),
    ("1,2\n3,4,5", {}, "^expected 2 numbers, got 3$"),
    ("t,x,y\n0,1,2\n0,1", {"when": "t"}, "^expected 3 fields, got 2$"),
    ("0,1,2\n0,1", {"when": "1", "values": ("2", "3")}, "^expected 3 fields, got 2$"),
    ("1,x", {"header": False}, "^expected a number in column 2, got 'x'$"),
    ("1,1_0", {"header": False}, "got '1_0'"),
    (f"1,{'x' * 99}", {"header": False}, r"got 'x{37}\.\.\.'$"),
    ('1,"2', {"header": False}, "comma-separated fields"),
    ("a,1,2\n,1,2", {"stream": "1"}, "the name of a stream, got nothing"),
    ("[1,2]\n[1,2", {}, "JSON array or object"),
    ("[1,2]\n" + "[" * 9999, {}, "JSON array or object"),
    ('[1,2]\n[1,"2"]', {}, "numbers in the array, got '\"2\"'"),
    ("[1,true]", {}, "got 'true'"),
    ("[1,[2]]", {}, r"got '\[2\]'"),
    ('{"a":1,"b":{}}', {}, "numbers in 'b', got '{}'"),
    (f"[1,1{'0' * 400}]", {}, "smaller number"),
    ('{"a":1,"b":2}\n{"a":1,"c":2}', {}, "expected a, b, got 'c' too"),
    ("[1,2]", {"when": "t"}, "JSON object with 't', got something else"),
    ('{"a":1,"b":2}', {"when": "t"}, "JSON object with 't', got one without"),
    ('{"a":1,"b":2,"s":null}', {"stream": "s"}, "JSON object with 's', got one without"),
    ([b"1,2", b"1,\xff"], {}, "UTF-8 text, got byte 0xff at position 3"),
    ([b"1,2", None], {}, "at most 1,048,576 bytes, got more"),
]


@pytest.mark.parametrize(("text", "columns", "message"), BAD)
def test_bad_rows(text, columns, message):
    with pytest.raises(RowError, match=message):
        parse(text, **columns)


WRONG = [
    ("a,b,c\n1,2,3", {}, "2 columns of inputs, got 3: a, b, c. Name them with --columns"),
    ("a,b\n1,2", {"when": "t"}, "time: expected a column among a, b, got 't'"),
    ("a,b\n1,2", {"values": ("a", "c")}, "--columns: expected a column among a, b, got 'c'"),
    ("1,2", {"values": ("a", "b")}, "a number from 1, as the first line is no header"),
    ("a,b\n1,2", {"values": ("1", "3")}, "got '3'"),
    ("1,2\n", {"values": ("1", "0")}, "got '0'"),
    ("1,2\n", {"values": ("1",)}, "2 columns of inputs, got 1"),
]


@pytest.mark.parametrize(("text", "columns", "message"), WRONG)
def test_columns_that_are_not_there(text, columns, message):
    with pytest.raises(InputError, match=message):
        parse(text, **columns)


def test_a_bad_first_object_does_not_name_the_columns():
    parser = RowParser(Columns(), 2, "auto")
    with pytest.raises(RowError, match="numbers in 'b', got 'true'"):
        parser.parse(1, b'{"a": 1, "b": true}')
    assert parser.parse(2, b'{"x": 1}').values == [1]  # whose count is told by who knows P
    assert parser.parse(3, b'{"x": 1, "y": 2}').values == [1, 2]
    with pytest.raises(RowError, match="expected x, y, got 'z' too"):
        parser.parse(4, b'{"x": 1, "z": 2}')


def lines_of(*pieces):
    class Pieces:
        def __init__(self):
            self.left = list(pieces)

        def read1(self, size):
            return self.left.pop(0) if self.left else b""

    reader, found = LineReader(Pieces()), []
    while not reader.ended:
        found.append(reader.read())
    return found


def test_lines_come_as_soon_as_they_are_whole():
    assert lines_of(b"ab\ncd", b"e\nf") == [[(1, b"ab")], [(2, b"cde")], [(3, b"f")]]
    assert lines_of(b"a\n\nb\n") == [[(1, b"a"), (2, b""), (3, b"b")], []]
    assert lines_of() == [[]]


def test_a_long_line_is_never_held():
    long = b"x" * 60_000
    found = lines_of(b"a\n", *[long] * 40, b"\nb\n", *[long] * 40)
    assert [line for lines in found for line in lines] == [
        (1, b"a"),
        (2, None),
        (3, b"b"),
        (4, None),
    ]
    whole = b"y" * LINE_BYTES
    assert lines_of(whole + b"\n" + whole + b"y\n")[0] == [(1, whole), (2, None)]


def test_what_is_held_is_bounded():
    class Endless:
        def __init__(self):
            self.left = 200

        def read1(self, size):
            self.left -= 1
            return b"x" * size if self.left else b""

    reader = LineReader(Endless())
    while not reader.ended:
        reader.read()
        assert len(reader._rest) <= LINE_BYTES
    assert reader.count == 1


def test_bytes_are_read_from_any_buffered_stream():
    reader = LineReader(io.BytesIO(b"1,2\n3,4"))
    assert reader.read() == [(1, b"1,2")]
    assert reader.read() == [(2, b"3,4")]
    assert reader.ended
