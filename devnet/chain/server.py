"""HTTP/1.1 in front of the methods: keep-alive, a thread a connection, one lock for the chain."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .errors import PARSE, RPCError
from .rpc import RPC

MAX_BODY = 5 * 1024 * 1024  # geth's limit
IDLE_SECONDS = 300
# py-evm raises Python's recursion limit for nested calls; the C stack of a thread must hold what
# that permits, or JSON nested 10,000 deep ends the process. Only touched pages are real memory.
STACK_BYTES = 64 * 1024 * 1024


class BodyError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "ParalleliX-devnet"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one write
    server: "Server"

    def do_POST(self) -> None:
        try:
            body = self._body()
        except BodyError as error:
            # What is left of the request cannot be skipped safely: the connection ends.
            self.close_connection = True
            self._reply(error.status, _parse_error(str(error)))
            return
        self._reply(200, self.server.answer(body))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunked()
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or len(length) > 12:
            raise BodyError(411, "a Content-Length is needed")
        if int(length) > MAX_BODY:
            raise BodyError(413, f"content length too large ({length}>{MAX_BODY})")
        return self._exactly(int(length))

    def _chunked(self) -> bytes:
        body = bytearray()
        while True:
            line = self.rfile.readline(66).split(b";")[0].strip()
            try:
                size = int(line, 16) if line.isalnum() and len(line) <= 8 else -1
            except ValueError:
                size = -1
            if size < 0:
                raise BodyError(400, "malformed chunk")
            if len(body) + size > MAX_BODY:
                raise BodyError(413, f"body too large (>{MAX_BODY})")
            body += self._exactly(size)
            if self.rfile.readline(3).strip():
                raise BodyError(400, "malformed chunk")
            if size == 0:
                return bytes(body)

    def _exactly(self, length: int) -> bytes:
        body = self.rfile.read(length)
        if len(body) != length:
            raise BodyError(400, "the body ended early")
        return body

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, rpc: RPC) -> None:
        threading.stack_size(STACK_BYTES)
        super().__init__((host, port), Handler)
        self.rpc = rpc
        # One lock: py-evm and the chain's books are not made for threads.
        self.lock = threading.Lock()

    def answer(self, body: bytes) -> bytes:
        try:
            request = json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return _parse_error("parse error")
        with self.lock:
            reply = self.rpc.answer(request)
        return b"" if reply is None else json.dumps(reply).encode()

    def mine(self) -> None:
        with self.lock:
            self.rpc.chain.mine()

    def handle_error(self, request, client_address) -> None:
        # A client that hangs up or times out is its own affair.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _parse_error(message: str) -> bytes:
    error = RPCError(PARSE, message).to_json()
    return json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()
