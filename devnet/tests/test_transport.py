"""HTTP and JSON-RPC as such: batches, hostile bodies, and web3.py as an independent client."""

import http.client
import json
import socket
import threading
from urllib.parse import urlsplit

import pytest
from helpers import PRLX, RPCFailure, call_data
from web3 import Web3
from web3.exceptions import TransactionNotFound


def connect(devnet) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(devnet.url).netloc, timeout=10)


def request(identifier, method: str, *params) -> dict:
    return {"jsonrpc": "2.0", "id": identifier, "method": method, "params": list(params)}


def test_a_batch_is_answered_request_by_request(devnet):
    batch = [
        request(1, "eth_chainId"),
        request("two", "no_such_method"),
        {"jsonrpc": "2.0", "method": "eth_chainId"},
        7,
        request(None, "net_version"),
    ]
    answers = devnet.post(json.dumps(batch).encode())
    assert [answer.get("result") for answer in answers] == ["0x7a69", None, None, "31337"]
    assert [answer["id"] for answer in answers] == [1, "two", None, None]
    assert [a["error"]["code"] for a in answers if "error" in a] == [-32601, -32600]
    assert devnet.post(b"[]")["error"]["code"] == -32600
    assert devnet.post(json.dumps([request(1, "eth_chainId")] * 1_001).encode())["error"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b'{"id": NaN}', -32700),
        (b'{"id":' + b"9" * 10_000 + b"}", -32700),
        (b"null", -32600),
        (b'"eth_chainId"', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"__init__"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[1]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x1 "]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x-1"]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x1",1]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":[{}]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[[]]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"evm_mine","params":["0x1000000"]}', -32602),
    ],
)
def test_a_hostile_body_gets_an_error_and_the_chain_goes_on(devnet, body, code):
    assert devnet.post(body)["error"]["code"] == code
    assert devnet.rpc("net_version") == "31337"


def test_calls_nested_as_deep_as_gas_allows_are_survived(devnet):
    # Calls itself with all its gas: PUSH0 five times, ADDRESS, GAS, CALL, STOP; and the init
    # code that returns these nine bytes.
    deployed = devnet.send(
        devnet.account("user"), to="", data="0x685f5f5f5f5f305af1005f5260096017f3", gas=100_000
    )
    contract = devnet.receipt(deployed)["contractAddress"]
    assert devnet.rpc("eth_getCode", contract, "latest") == "0x5f5f5f5f5f305af100"
    assert devnet.rpc("eth_call", {"to": contract}) == "0x"


def test_what_is_not_there_is_null(devnet):
    nothing = "0x" + "00" * 32
    for method in (
        "eth_getBlockByHash",
        "eth_getTransactionByHash",
        "eth_getTransactionReceipt",
        "eth_getBlockReceipts",
    ):
        assert devnet.rpc(method, nothing) is None
    assert devnet.rpc("eth_getBlockByNumber", "0xffff", False) is None
    for method in ("debug_getRawHeader", "debug_getRawReceipts"):
        with pytest.raises(RPCFailure, match="header not found"):
            devnet.rpc(method, "0xffff")


def test_a_connection_is_kept_for_many_requests(devnet):
    connection = connect(devnet)
    body = json.dumps(request(1, "eth_blockNumber"))
    connection.connect()
    port = connection.sock.getsockname()[1]
    for _ in range(20):
        connection.request("POST", "/", body)
        assert json.loads(connection.getresponse().read())["id"] == 1
    assert connection.sock.getsockname()[1] == port
    connection.close()


def test_a_chunked_body_is_understood(devnet):
    connection = connect(devnet)
    body = json.dumps(request(1, "eth_chainId")).encode()
    connection.request("POST", "/", iter([body[:10], body[10:]]), encode_chunked=True)
    assert json.loads(connection.getresponse().read())["result"] == "0x7a69"
    connection.close()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST / HTTP/1.1\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n", 413),
        (b"GET / HTTP/1.1\r\n\r\n", 501),
    ],
)
def test_hostile_http_is_refused(devnet, head, status):
    place = urlsplit(devnet.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(head)
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert devnet.rpc("net_version") == "31337"


def test_many_clients_at_once_see_one_chain(devnet):
    users = [devnet.account("user", index) for index in range(5)]
    failures = []

    def send_ten(user) -> None:
        try:
            for _ in range(10):
                devnet.receipt(devnet.send(user))
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=send_ten, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for user in users:
        assert devnet.number("eth_getTransactionCount", user.address, "latest") == 10


def test_web3_sends_reads_and_finds(devnet):
    web3 = Web3(Web3.HTTPProvider(devnet.url))
    assert web3.is_connected() and web3.eth.chain_id == 31337
    user, other = devnet.account("user"), devnet.account("user", 1)
    transaction = {
        "from": user.address,
        "to": devnet.token,
        "data": call_data("transfer(address,uint256)", other.address, 3 * PRLX),
        "nonce": web3.eth.get_transaction_count(user.address),
        "chainId": web3.eth.chain_id,
        "maxPriorityFeePerGas": web3.eth.max_priority_fee,
        "maxFeePerGas": 2 * web3.eth.gas_price,
        "value": 0,
    }
    transaction["gas"] = web3.eth.estimate_gas(transaction)
    signed = user.sign_transaction(transaction)
    with pytest.raises(TransactionNotFound):
        web3.eth.get_transaction(signed.hash)
    sent = web3.eth.send_raw_transaction(signed.raw_transaction)
    receipt = web3.eth.wait_for_transaction_receipt(sent, timeout=5)
    assert sent == signed.hash and receipt.status == 1
    assert web3.eth.get_transaction(sent)["from"] == user.address
    block = web3.eth.get_block(receipt.blockNumber, full_transactions=True)
    assert block.transactions[0].hash == sent
    [log] = web3.eth.get_logs({"fromBlock": receipt.blockNumber, "address": devnet.token})
    assert log.transactionHash == sent and int(log.data.hex(), 16) == 3 * PRLX
    proof = web3.eth.get_proof(devnet.token, [0], receipt.blockNumber)
    assert proof.codeHash == web3.keccak(web3.eth.get_code(devnet.token))
    assert web3.eth.fee_history(2, "latest", [50])["oldestBlock"] == receipt.blockNumber - 1
    assert web3.eth.syncing is False
