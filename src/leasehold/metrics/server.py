"""Server: answers `GET /metrics` for Prometheus, in threads of its own, on the loopback address unless told otherwise.

There is no password: whoever reaches the address may read. Names of kinds and numbers are all there is to see.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from leasehold.errors import LeaseholdError, UsageError
from leasehold.metrics.collector import Collector

LOOPBACK = "127.0.0.1"
PATHS = ("/", "/metrics")


@dataclass(slots=True)
class Server:
    """A server that answers; `url` is where."""

    url: str
    _http: Any
    _thread: threading.Thread

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(timeout=1.0)


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `9464`, `:9464`, `0.0.0.0:9464` or `[::1]:9464`; port 0 takes a free one.

    Raises:
        UsageError: it is no address.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else ""
    if not (port.isascii() and port.isdigit() and int(port) < 65_536):
        raise UsageError(f"{text!r} is no address for metrics.",
                         remedy="Write PORT or HOST:PORT: 9464, 0.0.0.0:9464, [::1]:9464.")  # fmt: skip
    return host or LOOPBACK, int(port)


def serve(address: str, collector: Collector) -> Server:
    """Answer at *address* (`PORT` or `HOST:PORT`) until closed.

    Raises:
        UsageError: it is no address, or `leasehold[metrics]` is not installed.
        LeaseholdError: the address is taken, or is not this machine's.
    """
    host, port = parse_address(address)
    try:
        from prometheus_client import CollectorRegistry, exposition
    except ImportError:
        raise UsageError("Metrics need prometheus-client, which is not installed.",
                         remedy="Run `pip install 'leasehold[metrics]'`.") from None  # fmt: skip
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    try:
        http, thread = exposition.start_wsgi_server(port, host, registry)
    except OSError as error:
        raise LeaseholdError(f"Metrics cannot be served at {host}:{port}: {error.strerror or error}.",
                             remedy="Give another address, or end the program that has it.") from None  # fmt: skip
    http.set_app(_only_here(http.get_app()))
    shown = f"[{host}]" if ":" in host else host
    return Server(f"http://{shown}:{http.server_address[1]}/metrics", http, thread)


def _only_here(answer: Any) -> Callable[[Any, Any], Iterable[bytes]]:
    """*answer* at our paths, 404 anywhere else."""

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO", "/") in PATHS:
            return answer(environ, start_response)  # type: ignore[no-any-return]
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Metrics are at /metrics.\n"]

    return app
