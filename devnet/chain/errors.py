"""The one error that reaches a JSON-RPC client, with the codes that geth uses."""

from typing import Any

PARSE = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL = -32603
SERVER = -32000
LIMIT_EXCEEDED = -32005
REVERTED = 3


class RPCError(Exception):
    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def to_json(self) -> dict:
        error = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return error


def invalid_params(message: str) -> RPCError:
    return RPCError(INVALID_PARAMS, message)


def server_error(message: str) -> RPCError:
    return RPCError(SERVER, message)
