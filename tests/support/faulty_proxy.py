"""A TCP proxy on loopback that passes everything on, until a test makes it disturb the next connections."""

from __future__ import annotations

import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_RESET_AT_ONCE = struct.pack("ii", 1, 0)
_SLICE_BYTES = 16 << 10


@dataclass(frozen=True)
class Fault:
    """What happens to one connection.

    Attributes:
        answer: sent instead of passing the request on, after which the connection is closed.
        cut_request_after_bytes: the connection is reset when so much has gone to the server.
        cut_answer_after_bytes: the connection is reset when so much has gone to the client.
        stall_request_after_bytes: no more goes to the server after so much, but the connection stays.
    """

    answer: bytes = b""
    cut_request_after_bytes: int | None = None
    cut_answer_after_bytes: int | None = None
    stall_request_after_bytes: int | None = None


UNAVAILABLE = Fault(answer=b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


class FaultyProxy:
    """The proxy; `struck` counts the connections that really came to harm, `stalled` is set when one stands still.

    Connections after those of `harm` suffer `otherwise`, which is none until somebody sets it.
    """

    def __init__(self, listener: socket.socket):
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.server_port = 0
        self.struck = 0
        self.stalled = threading.Event()
        self.otherwise = Fault()
        self._listener = listener
        self._faults: deque[Fault] = deque()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def harm(self, *faults: Fault) -> None:
        """The next connections suffer these faults, one each; those that are open are closed, so that new ones come.

        A connection over which less passes than a fault's number of bytes stays unharmed and uses the fault up.
        """
        with self._lock:
            self.struck = 0
            self.stalled.clear()
            self._faults = deque(faults)
        self.close_connections()

    def close_connections(self) -> None:
        """Closes every open connection."""
        with self._lock:
            for side in self._open:
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        """Accepts connections until the listener is closed."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                fault = self._faults.popleft() if self._faults else self.otherwise
            threading.Thread(target=self._connect, args=(client, fault), daemon=True).start()

    def _connect(self, client: socket.socket, fault: Fault) -> None:
        if fault.answer:
            self._strike()
            with client, suppress(OSError):
                client.recv(_SLICE_BYTES)
                client.sendall(fault.answer)
                # A reset must not overtake the answer: what the client still sends is read to its end.
                client.shutdown(socket.SHUT_WR)
                while client.recv(_SLICE_BYTES):
                    pass
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.server_port))
        except ConnectionError:  # nobody listens there just now
            client.close()
            return
        with self._lock:
            self._open |= {client, server}
        back = threading.Thread(target=self._pass, args=(server, client, fault.cut_answer_after_bytes), daemon=True)
        back.start()
        self._pass(client, server, fault.cut_request_after_bytes, fault.stall_request_after_bytes)
        back.join()
        with self._lock:
            self._open -= {client, server}
        client.close()
        server.close()

    def _pass(
        self, source: socket.socket, target: socket.socket, cut_after: int | None, stall_after: int | None = None
    ) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(_SLICE_BYTES):
                room = len(data)
                if cut_after is not None:
                    room = cut_after - passed
                elif stall_after is not None:
                    room = max(0, stall_after - passed)
                target.sendall(data[:room])
                passed += len(data[:room])
                if cut_after is not None and passed >= cut_after:
                    self._strike()
                    for side in (source, target):
                        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
                    break
                if stall_after is not None and passed >= stall_after and not self.stalled.is_set():
                    self._strike()
                    self.stalled.set()
        for side in (source, target):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def _strike(self) -> None:
        with self._lock:
            self.struck += 1


@contextmanager
def running_proxy() -> Iterator[FaultyProxy]:
    """Runs a proxy until the block ends; set its `server_port` before the first connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = FaultyProxy(listener)
        thread = threading.Thread(target=proxy.serve, daemon=True)
        thread.start()
        yield proxy
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        proxy.close_connections()
