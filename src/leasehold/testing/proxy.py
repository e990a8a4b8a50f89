"""A bad network: a TCP proxy in front of a database, which cuts, stalls, swallows, slows and refuses when told to.

    with Proxy(url) as proxy:
        session = Session(Target(url=proxy.url))
        proxy.cut()                 # every connection is reset, as when a cable or a firewall goes
        proxy.swallow()             # half open: connections are accepted, what is sent goes nowhere, nobody says so
        proxy.stall()               # nothing moves, nothing is lost: it is delivered after `heal`
        proxy.refuse()              # nobody listens
        proxy.lose_replies()        # the next answer on every connection is lost, and the connection with it
        proxy.latency_s = 0.02      # each way
        proxy.bytes_per_s = 50_000  # each way, each connection
        proxy.drop_notifies = True  # notifications never arrive, everything else does
        proxy.heal()                # as on the first day

Not only for databases: `Proxy("host=127.0.0.1 port=9000", postgres=False)` stands before any server, at `port`, and
looks for no messages.

It serves from one thread of its own; its methods and attributes are for any thread. What was swallowed is lost for
good, so `heal` resets those connections. Stalled and half-open connections look alive to TCP (we are the peer, and we
answer): only the client's own limits end a call on them.

Not here: TLS to the server (its address is asked without), many servers behind one address.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading
from concurrent.futures import Future
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

LOOK_S = 0.01
CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)


class Proxy:
    """In front of the server that *url* names; `url` is its own address, with everything else as it was."""

    def __init__(self, url: str, *, port: int = 0, postgres: bool = True) -> None:
        given = conninfo_to_dict(url)
        host = str(given.get("host") or os.environ.get("PGHOST") or "127.0.0.1").partition(",")[0]
        self._host, self._port = host, int(str(given.get("port") or 5432).partition(",")[0])
        self._postgres = postgres
        self.latency_s = 0.0
        self.bytes_per_s = 0.0
        self.drop_notifies = False
        self.accepted = self.resets = self.lost_replies = self.lost_notifies = 0
        self._swallowing = self._stalling = False
        self._pairs: set[_Pair] = set()
        self._wire: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="leasehold-proxy", daemon=True)
        self._thread.start()
        self._listen_port = port
        self._do(self._listen())
        self.url = make_conninfo(
            url, host="127.0.0.1", hostaddr=None, port=self._listen_port, sslmode="disable", gssencmode="disable"
        )

    # -- what can be done to it ---------------------------------------------------------------------------------------

    def cut(self) -> int:
        """Reset every connection; how many."""
        return int(self._do(self._reset(list(self._pairs))))

    def swallow(self, *, new_ones: bool = True) -> None:
        """Half open from now on: the connections that are there, and (*new_ones*) those to come."""
        self._swallowing = new_ones
        for pair in list(self._pairs):
            pair.swallowed = True

    def stall(self) -> None:
        """Hold everything back until `heal`."""
        self._stalling = True

    def refuse(self) -> None:
        """Reset every connection and listen no more."""
        self._do(self._deafen())

    def lose_replies(self) -> None:
        """On every connection let requests through, and lose the next answer and the connection with it."""
        for pair in list(self._pairs):
            pair.loses_reply = True

    def heal(self) -> None:
        """End every misery. Connections that were half open are reset: what they sent will never come."""
        self._swallowing = self._stalling = self.drop_notifies = False
        self.latency_s = self.bytes_per_s = 0.0
        for pair in list(self._pairs):
            pair.loses_reply = False
        self._do(self._reset([pair for pair in self._pairs if pair.swallowed]))
        self._do(self._listen())

    @property
    def port(self) -> int:
        return self._listen_port

    @property
    def connections(self) -> int:
        return len(self._pairs)

    def close(self) -> None:
        if self._loop.is_running():
            self._do(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5.0)
            self._loop.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- on its own thread --------------------------------------------------------------------------------------------

    def _do(self, work: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(10.0)

    async def _listen(self) -> None:
        if self._wire is None:
            self._wire = await asyncio.start_server(self._serve, "127.0.0.1", self._listen_port, limit=CHUNK)
            self._listen_port = self._wire.sockets[0].getsockname()[1]

    async def _deafen(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
        await self._reset(list(self._pairs))

    async def _end(self) -> None:
        await self._deafen()
        serving = asyncio.all_tasks(self._loop) - {asyncio.current_task(self._loop)}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _reset(self, pairs: list[_Pair]) -> int:
        for pair in pairs:
            pair.reset()
        self.resets += len(pairs)
        return len(pairs)

    async def _serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        self.accepted += 1
        pair = _Pair(client_out)
        self._pairs.add(pair)
        try:
            await self._gate(pair)
            if self._host.startswith("/"):
                path = f"{self._host}/.s.PGSQL.{self._port}"
                server_in, server_out = await asyncio.open_unix_connection(path, limit=CHUNK)
            else:
                server_in, server_out = await asyncio.open_connection(self._host, self._port, limit=CHUNK)
            pair.ends.append(server_out)
            pumps = [
                asyncio.ensure_future(self._pump(pair, client_in, server_out, None)),
                asyncio.ensure_future(self._pump(pair, server_in, client_out, _Messages(), reply=True)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the server is away, or we end: the client sees its connection end, as it would without us
        finally:
            self._pairs.discard(pair)
            for end in pair.ends:
                end.close()

    async def _pump(
        self,
        pair: _Pair,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        messages: _Messages | None,
        *,
        reply: bool = False,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK):
                await self._gate(pair)
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                if self.bytes_per_s:
                    await asyncio.sleep(len(data) / self.bytes_per_s)
                if pair.swallowed:
                    continue
                if reply and pair.loses_reply:
                    self.lost_replies += 1
                    pair.reset()
                    return
                if messages is not None and self._postgres:
                    data, lost = messages.without_notifies(data, drop=self.drop_notifies)
                    self.lost_notifies += lost
                sink.write(data)
                await sink.drain()

    async def _gate(self, pair: _Pair) -> None:
        while self._stalling or (self._swallowing and len(pair.ends) == 1):
            await asyncio.sleep(LOOK_S)


class _Pair:
    """A client's connection and ours to the server."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.ends = [client]
        self.swallowed = self.loses_reply = False

    def reset(self) -> None:
        """End both with a reset, not with an orderly close: that is how networks end connections."""
        for end in self.ends:
            wire = end.get_extra_info("socket")
            with contextlib.suppress(OSError):
                if wire is not None and wire.family != socket.AF_UNIX:
                    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            end.transport.abort()


class _Messages:
    """The server's messages in one direction: a byte for the kind, four for the length, and the rest."""

    def __init__(self) -> None:
        self._rest = b""

    def without_notifies(self, data: bytes, *, drop: bool) -> tuple[bytes, int]:
        """*data* without NotificationResponse (`A`), as far as messages are complete; how many were left out.

        Messages are followed from the first byte on, so that the filter may be switched on in the middle.
        """
        self._rest += data
        kept, lost, at = [], 0, 0
        while len(self._rest) - at >= 5:
            length = 1 + int.from_bytes(self._rest[at + 1 : at + 5], "big")
            if len(self._rest) - at < length:
                break
            if drop and self._rest[at : at + 1] == b"A":
                lost += 1
            else:
                kept.append(self._rest[at : at + length])
            at += length
        self._rest = self._rest[at:]
        return b"".join(kept), lost
