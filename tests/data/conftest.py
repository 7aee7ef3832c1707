"""A local web server that misbehaves on request, and a guard that nothing else is contacted."""

import contextlib
import gzip
import hashlib
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lipschitz_rnn.data.files import DataFile

Behaviour = Callable[[socket.socket, str, threading.Event], None]
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def only_localhost(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Fail a test that looks up or connects to anything but 127.0.0.1; give it an empty cache."""
    outside: list[object] = []
    connect, lookup = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: object) -> None:
        if not (isinstance(address, tuple) and address[0] == "127.0.0.1"):
            outside.append(address)
            raise OSError(101, "Network is unreachable")
        connect(self, address)

    def guarded_lookup(host: str, *args: object, **kwargs: object) -> object:
        if host != "127.0.0.1":
            outside.append(host)
            raise socket.gaierror(-2, "Name or service not known")
        return lookup(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_lookup)
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LIPSCHITZ_RNN_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    assert not outside


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = False  # so that closing the server waits for its answers

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behaviour = behaviour
        self.stop = threading.Event()
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/mnist/"


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            piece = self.request.recv(4096)
            if not piece:
                return
            request += piece
        path = re.match(rb"GET (\S+) ", request).group(1).decode()
        self.server.paths.append(path)
        with contextlib.suppress(OSError):  # the client goes away, as it should
            self.server.behaviour(self.request, path, self.server.stop)


@pytest.fixture
def serve() -> Iterator[Callable[[Behaviour], _Server]]:
    """``serve(behaviour)`` starts a server with ``.url`` and ``.paths``, what was asked of it."""
    servers: list[_Server] = []

    def start(behaviour: Behaviour) -> _Server:
        server = _Server(behaviour)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop.set()
        server.shutdown()
        server.server_close()


class Samples:
    """Two small files with known digests, and the ways to hand them out."""

    def __init__(self) -> None:
        self.content = {"train-a-ubyte": bytes(range(256)) * 40, "train-b-ubyte": b"label" * 999}
        self.files = tuple(
            DataFile("mnist", name, len(data), hashlib.sha256(data).hexdigest())
            for name, data in self.content.items()
        )

    def body(self, path: str) -> bytes:
        """What a good server sends for a path."""
        return gzip.compress(self.content[path.rsplit("/", 1)[1].removesuffix(".gz")])

    def good(self, connection: socket.socket, path: str, _stop: threading.Event) -> None:
        """The behaviour of a good server."""
        body = self.body(path)
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body)

    def write(self, root: Path, *, compress: bool = False) -> Path:
        """A data folder with the files."""
        folder = root / "mnist"
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.content.items():
            if compress:
                (folder / f"{name}.gz").write_bytes(gzip.compress(data))
            else:
                (folder / name).write_bytes(data)
        return root


@pytest.fixture
def samples() -> Samples:
    return Samples()
