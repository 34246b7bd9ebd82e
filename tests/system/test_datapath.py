"""The data path where timing decides: half-closed consumers, consumers that stall, names that nobody knows."""
import json
import os
import socket
import threading
import time

import city
from city import Node, Provider, json_resource, PERSON

ROW = json.dumps({"id": PERSON, "name": "张三丰", "age": 36}, ensure_ascii=False).encode()
BODY = json.dumps({"id_no": PERSON}).encode()
POST = (b"POST /x/provider/people HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: "
        + str(len(BODY)).encode() + b"\r\n\r\n" + BODY)


def test_00_setup():
    global NODE, P
    NODE = Node("limits: {write: 1s}\n")
    NODE.__enter__()
    NODE.city()
    P = Provider()
    NODE.publish(json_resource(P.port), "provider/people")
    NODE.grant("provider/people", "id_no,name,age")


def test_01_a_consumer_that_only_listens_gets_its_answer():
    P.answer = lambda h, b, s: (time.sleep(0.3), Provider.one_person(h, b, s))[1]
    raw = socket.create_connection(("127.0.0.1", NODE.data_port))
    s = NODE.tls().wrap_socket(raw, server_hostname="localhost")
    s.sendall(POST.replace(b"Host: a\r\n", b"Host: a\r\nConnection: close\r\n"))
    socket.socket.shutdown(s, socket.SHUT_WR)  # the socket's own: TLS stays up to read
    got = b""
    while True:
        piece = s.recv(65536)
        if not piece:
            break
        got += piece
    assert got.startswith(b"HTTP/1.1 200") and got.endswith(b'"count":1}'), got
    P.answer = Provider.one_person


def test_02_unknown_names_leave_no_trace():
    name = "a" + PERSON.lower()
    assert NODE.reason(f"provider/{name}", {}) == (404, "not-published")
    assert NODE.reason("provider/people", {"id_no": PERSON}, headers={"Sluice-Purpose": PERSON.lower()}) == (400, "header-invalid")
    folder = os.path.join(NODE.dir, "log")
    for path, _, files in os.walk(folder):
        for file in files:
            with open(os.path.join(path, file), "rb") as f:
                assert PERSON.encode() not in f.read().upper(), file
    refused = [r for r in NODE.records() if r["kind"] == "refused"]
    assert all(r.get("subject") for r in refused), refused


def test_03_a_stalled_reader_is_cut_though_the_provider_goes_on():
    stop = threading.Event()

    def answer(h, b, s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")

        def chunk(data):
            s.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        chunk(b'{"code":"0","rows":[' + ROW)
        block = b"," + b",".join([ROW] * 100)
        end = time.monotonic() + 20
        while time.monotonic() < end and not stop.is_set():
            chunk(block)
            time.sleep(0.002)
        return False
    P.answer = answer
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", NODE.data_port))
    s = NODE.tls().wrap_socket(raw, server_hostname="localhost")
    s.sendall(POST)
    slow = city.wait_for(lambda: [r for r in NODE.records() if r.get("reason") == "consumer-slow"])
    assert slow[0]["duration_ms"] < 14000, slow
    stop.set()
    s.close()
    P.answer = Provider.one_person


def test_99_teardown():
    NODE.stop()
    code, text = NODE.verify()
    assert code == 0, text
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
