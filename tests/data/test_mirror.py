"""Mirrors that work: what is accepted, what is kept, and what the environment changes."""

import gzip
import socket
import subprocess
import sys
from pathlib import Path

import pooch
import pytest

from lipschitz_rnn.data.download import Limits
from lipschitz_rnn.data.mirror import MirrorSource
from lipschitz_rnn.data.sources import DataUnavailableError, obtain

PATIENT = Limits(answer=5, silence=5, total=10)


def head(length: int, status: str = "200 OK", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{extra}\r\n".encode()


def not_found(connection, _path, _stop):
    connection.sendall(head(4, "404 Not Found") + b"gone")


def test_what_a_mirror_delivered_before_it_failed_is_kept(serve, samples, tmp_path: Path) -> None:
    def first_only(connection, path, stop):
        (samples.good if "train-a" in path else not_found)(connection, path, stop)

    half, good = serve(first_only), serve(samples.good)
    lines: list[str] = []
    sources = [MirrorSource(server.url, tmp_path, PATIENT) for server in (half, good)]
    obtain(samples.files, sources, lines.append)
    assert good.paths == ["/mnist/train-b-ubyte.gz"]
    assert len(lines) == 1


def test_redirects_are_followed(serve, samples, tmp_path: Path) -> None:
    good = serve(samples.good)

    def moved(connection, path, _stop):
        target = good.url + path.rsplit("/", 1)[1]
        connection.sendall(head(0, "301 Moved Permanently", f"Location: {target}\r\n"))

    obtain(samples.files, [MirrorSource(serve(moved).url, tmp_path, PATIENT)])
    assert len(good.paths) == 2


@pytest.mark.parametrize("kind", ["chunked", "until closed", "content encoding", "not gzipped"])
def test_every_honest_way_to_send_a_file(kind: str, serve, samples, tmp_path: Path) -> None:
    def honest(connection, path, _stop):
        body = samples.body(path)
        if kind == "chunked":
            start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            chunks = b"%x\r\n%b\r\n3\r\n%b\r\n0\r\n\r\n" % (len(body) - 3, body[:-3], body[-3:])
            connection.sendall(start + chunks)
        elif kind == "until closed":
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
        elif kind == "content encoding":
            connection.sendall(head(len(body), extra="Content-Encoding: gzip\r\n") + body)
        else:
            body = gzip.decompress(body)
            connection.sendall(head(len(body)) + body)

    found = obtain(samples.files, [MirrorSource(serve(honest).url, tmp_path, PATIENT)])
    assert [item.content for item in found] == list(samples.content.values())
    assert found[0].source == "mirror 127.0.0.1"
    assert found[0].path.read_bytes() == found[0].content


def test_a_proxy_in_the_environment_is_used(monkeypatch, serve, samples, tmp_path: Path) -> None:
    proxy = serve(samples.good)
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "")
    obtain(samples.files, [MirrorSource("http://mirror.invalid/mnist/", tmp_path, PATIENT)])
    assert proxy.paths[0] == "http://mirror.invalid/mnist/train-a-ubyte.gz"


def test_a_proxy_password_is_never_shown(monkeypatch, samples, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        monkeypatch.setenv("http_proxy", f"http://user:secret@127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        with pytest.raises(DataUnavailableError, match="proxy does not let us through") as caught:
            obtain(samples.files, [MirrorSource("http://mirror.invalid/", tmp_path, PATIENT)])
    assert "secret" not in str(caught.value)


def test_an_unwritable_cache_is_a_reason_and_not_a_crash(serve, samples, tmp_path: Path) -> None:
    (tmp_path / "mnist").write_text("a file where the folder should be")
    source = MirrorSource(serve(samples.good).url, tmp_path, PATIENT)
    with pytest.raises(DataUnavailableError, match=f"cannot write {tmp_path}/mnist: "):
        obtain(samples.files, [source])


def test_the_pooch_logger_is_left_as_it_was(serve, samples, tmp_path: Path) -> None:
    level = pooch.get_logger().level
    obtain(samples.files, [MirrorSource(serve(samples.good).url, tmp_path, PATIENT)])
    assert pooch.get_logger().level == level


def test_a_damaged_file_in_the_cache_is_replaced_by_the_mirror(serve, samples, tmp_path) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train-a-ubyte").write_bytes(b"half a fi")
    found = obtain(samples.files, [MirrorSource(serve(samples.good).url, tmp_path, PATIENT)])
    assert found[0].path.read_bytes() == samples.content["train-a-ubyte"]


DOWNLOADER = """
import sys
from pathlib import Path
from lipschitz_rnn.data.files import DataFile
from lipschitz_rnn.data.mirror import MirrorSource
from lipschitz_rnn.data.sources import CacheSource, obtain
url, root, *files = sys.argv[1:]
files = [DataFile("mnist", name, int(size), sha) for name, size, sha in (f.split() for f in files)]
for turn in range(20):
    cache = Path(root) / str(turn)
    obtain(files, [CacheSource(cache), MirrorSource(url, cache)])
if "sklearn" in sys.modules:
    sys.exit("scikit-learn was imported, though only the digits need it")
"""


def test_two_processes_may_fill_one_cache(serve, samples, tmp_path: Path) -> None:
    server = serve(samples.good)
    described = [f"{file.name} {file.size} {file.sha256}" for file in samples.files]
    command = [sys.executable, "-c", DOWNLOADER, server.url, str(tmp_path), *described]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outcomes = [(process.communicate(timeout=60)[1], process.returncode) for process in both]
    assert outcomes == [("", 0), ("", 0)]
    names = sorted(path.name for path in tmp_path.glob("*/mnist/*"))
    assert names == sorted(20 * list(samples.content))  # and no temporary file besides
