"""Mirrors that fail in every way: in time, in one line, and with nothing left in the cache."""

import gzip
import re
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from lipschitz_rnn.data.download import THREAD_NAME, Limits, fetch
from lipschitz_rnn.data.mirror import MirrorSource
from lipschitz_rnn.data.sources import DataUnavailableError, SourceFailedError, obtain

PATIENT = Limits(answer=5, silence=5, total=10)
HASTY = Limits(answer=0.4, silence=5, total=5)
SLACK = 4  # seconds a busy machine may add; what hangs would hang for ten


def head(length: int, status: str = "200 OK", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{extra}\r\n".encode()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def drip(
    connection: socket.socket, stop: threading.Event, data: bytes, pause: float = 0.02
) -> None:
    for byte in data:
        if stop.wait(pause):
            return
        connection.sendall(bytes([byte]))


def not_found(connection, _path, _stop):
    connection.sendall(head(4, "404 Not Found") + b"gone")


def server_error(connection, _path, _stop):
    connection.sendall(head(0, "500 Internal Server Error"))


def no_content(connection, _path, _stop):
    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


def partial_content(connection, _path, _stop):
    connection.sendall(head(4, "206 Partial Content") + b"part")


def reset_before_headers(connection, _path, _stop):
    reset(connection)


def reset_in_body(connection, _path, stop):
    connection.sendall(head(100_000) + bytes(5_000))
    stop.wait(0.1)
    reset(connection)


def closed_in_body(connection, _path, _stop):
    connection.sendall(head(100) + bytes(40))


def chunk_cut_short(connection, _path, _stop):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\nabc")


def web_page(connection, _path, _stop):
    page = b"<html>Please log in to the network.</html>"
    connection.sendall(head(len(page)) + page)


def other_data(connection, _path, _stop):
    body = gzip.compress(b"somebody else's digits")
    connection.sendall(head(len(body)) + body)


def gzip_bomb(connection, _path, _stop):
    body = gzip.compress(bytes(1 << 24))
    connection.sendall(head(len(body)) + body)


def endless_body(connection, _path, stop):
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not stop.is_set():
        connection.sendall(bytes(1 << 14))


def trickle(connection, _path, stop):
    connection.sendall(head(100_000))
    drip(connection, stop, bytes(100_000))


def trickling_headers(connection, _path, stop):
    drip(connection, stop, b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000)


def hang_before_headers(_connection, _path, stop):
    stop.wait(10)


def hang_in_body(connection, _path, stop):
    connection.sendall(head(100) + bytes(40))
    stop.wait(10)


def redirect_forever(connection, path, _stop):
    connection.sendall(head(0, "302 Found", f"Location: {path}\r\n"))


def redirect_with_endless_body(connection, path, stop):
    connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: {path}\r\n\r\n".encode())
    while not stop.is_set():
        connection.sendall(bytes(1 << 14))


def redirect_to_a_file(connection, _path, _stop):
    connection.sendall(head(0, "302 Found", "Location: file:///etc/hostname\r\n"))


def not_http(connection, _path, _stop):
    connection.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")


# Limits short enough to wait for, each such that a slow machine cannot give another reason.
LIMITS = {
    trickle: Limits(answer=5, silence=5, total=0.6),
    trickling_headers: HASTY,
    hang_before_headers: HASTY,
    hang_in_body: Limits(answer=5, silence=0.3, total=5),
}
BAD = {
    not_found: "HTTP status 404",
    server_error: "HTTP status 500",
    no_content: "HTTP status 204",
    partial_content: "HTTP status 206",
    reset_before_headers: "connection reset by peer",
    reset_in_body: "connection reset by peer",
    closed_in_body: "(connection closed after 40 of 100 bytes|connection broken)",
    chunk_cut_short: "connection broken",
    web_page: "wrong checksum for train-a-ubyte.gz",
    other_data: "wrong checksum for train-a-ubyte.gz",
    gzip_bomb: "(more than|wrong content)",
    endless_body: "more than 14336 bytes",
    trickle: "not done within 0.6 s",
    trickling_headers: "no answer within 0.4 s",
    hang_before_headers: "no answer within 0.4 s",
    hang_in_body: "(no data for 0.3 s|timed out)",
    redirect_forever: "more than 5 redirects",
    redirect_with_endless_body: "more than 5 redirects",
    redirect_to_a_file: "InvalidSchema",
    not_http: "(connection broken|BadStatusLine)",
}


@pytest.mark.parametrize(
    ("behaviour", "reason"), BAD.items(), ids=lambda b: getattr(b, "__name__", "")
)
def test_a_failing_mirror_is_reported_once_and_the_next_used(
    behaviour, reason, serve, samples, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    bad, good = serve(behaviour), serve(samples.good)
    lines: list[str] = []
    limits = LIMITS.get(behaviour, PATIENT)
    sources = [MirrorSource(bad.url, tmp_path, limits), MirrorSource(good.url, tmp_path, PATIENT)]
    began = time.monotonic()
    found = obtain(samples.files, sources, lines.append)
    assert time.monotonic() - began < SLACK
    assert [item.content for item in found] == list(samples.content.values())
    assert len(lines) == 1
    assert re.fullmatch(rf"mnist: mirror 127\.0\.0\.1: {reason}.*\.", lines[0])
    assert "\n" not in lines[0]
    assert len(set(bad.paths)) == 1  # the second file was not asked of a mirror that had failed
    assert sorted(path.name for path in (tmp_path / "mnist").iterdir()) == sorted(samples.content)
    assert capfd.readouterr() == ("", "")  # nor did pooch say anything by itself


@pytest.mark.parametrize("behaviour", BAD, ids=lambda b: b.__name__)
def test_a_failing_mirror_leaves_the_cache_clean(behaviour, serve, samples, tmp_path: Path) -> None:
    limits = LIMITS.get(behaviour, PATIENT)
    source = MirrorSource(serve(behaviour).url, tmp_path, limits)
    with pytest.raises(DataUnavailableError, match=BAD[behaviour]) as caught:
        obtain(samples.files, [source])
    assert "\n" not in str(caught.value)
    assert list(tmp_path.rglob("*ubyte*")) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_whole_attempt_ends_in_time_when_all_mirrors_hang(serve, samples, tmp_path) -> None:
    sources = [MirrorSource(serve(hang_before_headers).url, tmp_path, HASTY) for _ in range(3)]
    began = time.monotonic()
    with pytest.raises(DataUnavailableError):
        obtain(samples.files, sources)
    assert time.monotonic() - began < 3 * HASTY.answer + SLACK


def test_connection_refused(samples, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, so that nobody else gets it, but not listening
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        with pytest.raises(DataUnavailableError, match=r"mirror 127.0.0.1 \(connection refused\)"):
            obtain(samples.files, [MirrorSource(url, tmp_path, PATIENT)])


def test_a_host_that_does_not_exist(monkeypatch, samples, tmp_path: Path) -> None:
    def no_such_host(*_args, **_kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_host)
    with pytest.raises(DataUnavailableError, match=r"mirror no.invalid \(host name not found\)"):
        obtain(samples.files, [MirrorSource("http://no.invalid/", tmp_path, PATIENT)])


def test_a_name_lookup_that_hangs_is_given_up(monkeypatch, samples, tmp_path: Path) -> None:
    release = threading.Event()

    def hang(*_args, **_kwargs):
        release.wait(10)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    began = time.monotonic()
    try:
        with pytest.raises(DataUnavailableError, match=r"no answer within 0\.4 s"):
            obtain(samples.files, [MirrorSource("http://slow.invalid/", tmp_path, HASTY)])
        assert time.monotonic() - began < HASTY.answer + SLACK
    finally:
        release.set()


def test_abandoned_downloads_end_by_themselves(serve) -> None:
    server = serve(trickle)
    with pytest.raises(SourceFailedError, match="not done within"):
        fetch(server.url, limits=PATIENT, deadline=time.monotonic() + 0.3, max_bytes=10**6)
    for worker in threading.enumerate():
        if worker.name == THREAD_NAME:
            worker.join(SLACK)
            assert not worker.is_alive()
