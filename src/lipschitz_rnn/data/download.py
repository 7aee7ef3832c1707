"""One attempt at one web address, bounded in time and memory whatever the server does."""

import queue
import re
import threading
import time
from dataclasses import dataclass
from urllib.parse import urljoin

import requests
import urllib3

from lipschitz_rnn.data.sources import SourceFailedError

CHUNK = 1 << 16
MAX_REDIRECTS = 5
THREAD_NAME = "lipschitz-rnn-download"


@dataclass(frozen=True)
class Limits:
    """Time limits of a download, in seconds.

    Attributes:
        answer: From the start until the response's headers have arrived: name lookup, connecting
            to every address of the host, redirects, all together.
        silence: Without a single byte of the body.
        total: For everything asked of one source.
    """

    answer: float = 10.0
    silence: float = 20.0
    total: float = 300.0


class _Session(requests.Session):
    """A session that leaves redirects to us: requests would read their bodies, however long."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


@dataclass(frozen=True)
class _Headers:
    length: int | None


_Event = _Headers | bytes | BaseException


def fetch(url: str, *, limits: Limits, deadline: float, max_bytes: int) -> bytes:
    """Download one address; proxies named in the environment are used.

    The work is done by a daemon thread that is abandoned when it exceeds a limit: a socket timeout
    alone bounds neither name lookup, nor a host with many addresses, nor one byte a second.

    Args:
        url: What to download.
        limits: Time limits.
        deadline: Value of ``time.monotonic()`` by which all must be done.
        max_bytes: Longest body to accept.

    Returns:
        The body as sent, with no content encoding undone.

    Raises:
        SourceFailedError: If it did not work out, for the short reason given.
    """
    events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
    stop = threading.Event()
    arguments = (url, limits, events, stop)
    threading.Thread(target=_work, args=arguments, name=THREAD_NAME, daemon=True).start()
    try:
        return _collect(events, limits, deadline, max_bytes)
    finally:
        stop.set()


def _collect(
    events: "queue.SimpleQueue[_Event]", limits: Limits, deadline: float, max_bytes: int
) -> bytes:
    body = bytearray()
    expected: int | None = None
    late = f"no answer within {limits.answer:g} s"
    wait = limits.answer
    while True:
        left = deadline - time.monotonic()
        try:
            event = events.get(timeout=max(0.0, min(wait, left)))
        except queue.Empty:
            overall = f"not done within {limits.total:g} s"
            raise SourceFailedError(overall if left < wait else late) from None
        if isinstance(event, BaseException):
            raise SourceFailedError(_reason(event)) from event
        if isinstance(event, _Headers):
            expected = event.length
            wait, late = limits.silence, f"no data for {limits.silence:g} s"
            continue
        body += event
        if len(body) > max_bytes:
            raise SourceFailedError(f"more than {max_bytes} bytes")
        if not event:
            break
        if left <= 0:
            raise SourceFailedError(f"not done within {limits.total:g} s")
    if expected is not None and len(body) != expected:
        raise SourceFailedError(f"connection closed after {len(body)} of {expected} bytes")
    return bytes(body)


def _work(
    url: str, limits: Limits, events: "queue.SimpleQueue[_Event]", stop: threading.Event
) -> None:
    """Run in a thread: put the headers, then the body's pieces, then an empty piece or an error."""
    try:
        with _Session() as session, _open(session, url, limits, stop) as response:
            length = response.headers.get("Content-Length", "")
            events.put(_Headers(int(length) if length.isdecimal() else None))
            while not stop.is_set():
                # read1 returns what has arrived; read would wait for a full chunk.
                piece = response.raw.read1(CHUNK, decode_content=False) or b""
                events.put(piece)
                if not piece:
                    return
    except Exception as error:
        events.put(error)


def _open(
    session: requests.Session, url: str, limits: Limits, stop: threading.Event
) -> requests.Response:
    for _ in range(MAX_REDIRECTS + 1):
        if stop.is_set():
            break
        response = session.get(
            url,
            stream=True,
            timeout=(limits.answer, limits.silence),
            headers={"Accept-Encoding": "identity"},
        )
        target = response.headers.get("Location")
        if response.status_code in {301, 302, 303, 307, 308} and target:
            response.close()
            url = urljoin(url, target)
            continue
        if response.status_code != 200:
            response.close()
            raise SourceFailedError(f"HTTP status {response.status_code}")
        return response
    raise SourceFailedError(f"more than {MAX_REDIRECTS} redirects")


def _reason(error: BaseException) -> str:
    """A few words; never an address, which may hold a proxy's password."""
    if isinstance(error, SourceFailedError):
        return str(error)
    text = str(error)
    if "NameResolutionError" in text or "getaddrinfo" in text:
        return "host name not found"
    if isinstance(error, requests.exceptions.SSLError):
        return "TLS certificate not accepted"
    if isinstance(error, requests.exceptions.ProxyError):
        return "proxy does not let us through"
    if isinstance(error, requests.exceptions.Timeout | urllib3.exceptions.TimeoutError):
        return "timed out"
    system = re.search(r"(?:\[Errno -?\d+\] |Error\(-?\d+, ')([A-Za-z ]+)", text)
    if system:
        return system.group(1).lower()
    if isinstance(error, requests.exceptions.ConnectionError | urllib3.exceptions.ProtocolError):
        return "connection broken"
    return type(error).__name__
