"""What a provider's connection may do to an answer: resets at each byte, trickling, lies about length, kept connections that went stale, connects that
hang; safe operations are asked again once, others never; a circuit opens and closes again."""
import json
import socket
import struct
import time

import city
from city import FULL, Node, Provider, json_resource, PERSON

BODY = json.dumps({"code": "0", "rows": [{"id": PERSON, "name": "张三丰", "age": 36}]}, ensure_ascii=False).encode()
WHOLE = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY),
    "chunks": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
}
NODE = None
P = Provider()       # a safe resource
U = Provider()       # one that is not


def test_00_setup():
    global NODE
    NODE = Node(workers=1)   # so that a kept connection is the next exchange's, too
    NODE.__enter__()
    NODE.city()
    NODE.publish(json_resource(P.port, timeout="1s"), "provider/people")
    NODE.publish(json_resource(U.port, "booking", timeout="1s", safe="false"), "provider/booking")
    NODE.grant("provider/people", "name,age")
    NODE.grant("provider/booking", "name,age")


def ends(s, reset):
    if reset:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def asked(resource="provider/people", connection=None):
    """(status, code or None, provider_reached or None, records or None)"""
    status, _, body = NODE.ask(resource, {"id_no": PERSON}, connection=connection)
    told = json.loads(body)
    return status, told.get("code"), told.get("provider_reached"), told.get("records")


def lasted():
    """The ms that the last exchange took, by the gateway's clock."""
    return [r for r in NODE.records() if r["kind"] == "outcome"][-1]["duration_ms"]


def test_01_cut_at_each_byte():
    """Whatever byte is the last, and whether the end is clean or a reset: a whole answer or a refusal, never a part."""
    connection = NODE.connect()
    tried = 0
    for name, whole in WHOLE.items():
        end = len(whole)
        for n in range(0, end, 1 if FULL else 3):
            for reset in (False, True):
                P.answer = lambda h, b, s, n=n, reset=reset, whole=whole: (s.sendall(whole[:n]), ends(s, reset))[1]
                seen = P.seen
                status, code, reached, records = asked(connection=connection)
                assert (status, code) == (502, "provider-cut"), (name, n, reset, status, code)
                assert reached in ("yes", "unknown") and records is None, (name, n, reached)
                assert P.seen == seen + 1 or n == 0, (name, n, "it was asked again")
                tried += 1
    P.answer = lambda h, b, s: s.sendall(WHOLE["chunks"])
    status, _, _, records = asked(connection=connection)
    assert status == 200 and records[0]["age"] == 36, (status, records)
    print(f"       {tried} cuts")


def test_02_trickling():
    def trickle(pause):
        def answer(h, b, s):
            head = WHOLE["length"].index(b"\r\n\r\n") + 4
            s.sendall(WHOLE["length"][:head])
            for i in range(head, len(WHOLE["length"])):
                s.sendall(WHOLE["length"][i:i + 1])
                time.sleep(pause)
        return answer
    P.answer = trickle(0.002)
    assert asked()[0] == 200
    P.answer = trickle(0.2)                    # never a pause of a second, and half a minute in all
    assert asked()[:2] == (504, "provider-timeout")
    assert lasted() < 4000, lasted()
    P.answer = lambda h, b, s: (s.sendall(WHOLE["length"][:60]), time.sleep(2.5))[0]
    assert asked()[:2] == (504, "provider-timeout")
    assert lasted() < 2000, lasted()


def test_03_lies_about_length():
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    for told, answer, want in ((len(BODY) + 10, BODY, (502, "provider-cut")),
                               (len(BODY) - 10, BODY, (502, "provider-malformed")),
                               (0, BODY, (502, "provider-malformed"))):
        P.answer = lambda h, b, s, told=told, answer=answer: (s.sendall(head % (told, answer)), ends(s, False))[1]
        assert asked()[:2] == want, (told - len(BODY), asked()[:2])
    # What follows a whole answer belongs to nobody: the next exchange must not read it as its own.
    P.answer = lambda h, b, s: s.sendall(head % (len(BODY), BODY) + head % (len(BODY), BODY.replace(b"36", b"99")))
    for _ in range(3):
        assert [r["age"] for r in asked()[3]] == [36]


def warm(provider, resource):
    """A kept connection that has answered."""
    provider.answer = Provider.one_person
    assert asked(resource)[0] == 200


def test_04_stale_connections():
    """The provider closes a kept connection when the next request comes: a safe one is asked again once, on a fresh connection."""
    for provider, resource, again in ((P, "provider/people", True), (U, "provider/booking", False)):
        for reset in (False, True):
            warm(provider, resource)
            state = {"n": 0}

            def stale(h, b, s, state=state, reset=reset):
                state["n"] += 1
                if state["n"] == 1:
                    return ends(s, reset)
                return Provider.one_person(h, b, s)
            provider.answer = stale
            status, code, reached, _ = asked(resource)
            if again:
                assert status == 200 and state["n"] == 2, (status, code, state)
            else:
                assert (status, code, reached) == (502, "provider-cut", "unknown") and state["n"] == 1, (status, code, reached, state)
    # Never a third time.
    warm(P, "provider/people")
    state = {"n": 0}

    def always(h, b, s):
        state["n"] += 1
        return ends(s, True)
    P.answer = always
    assert asked()[:2] == (502, "provider-cut") and state["n"] == 2, state


def test_05_closed_while_idle():
    """Closed before the next request: noticed, and nobody is refused for it, whether asking again is safe or not."""
    def once(h, b, s):
        Provider.one_person(h, b, s)
        return False
    for provider, resource in ((P, "provider/people"), (U, "provider/booking")):
        provider.answer = once
        for _ in range(5):
            status, code, _, _ = asked(resource)
            assert status == 200, (resource, status, code)
            time.sleep(0.05)


def test_06_a_connect_that_hangs():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fill = []
        for _ in range(4):      # until the backlog is full, and the kernel drops what comes
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", port))
            fill.append(s)
        NODE.publish(json_resource(port, "hangs", timeout="1s"), "provider/hangs")
        NODE.grant("provider/hangs", "age")
        status, code, reached, _ = asked("provider/hangs")
        assert status in (502, 504) and code in ("provider-timeout", "provider-unreachable") and reached == "no", (status, code, reached)
        assert lasted() < 3000, lasted()
        for s in fill:
            s.close()


def test_07_the_circuit_opens_and_closes():
    port = city.free_port()
    NODE.publish(json_resource(port, "down", timeout="1s"), "provider/down")
    NODE.grant("provider/down", "age")
    for _ in range(6):
        assert asked("provider/down")[:2] == (502, "provider-unreachable")
    status, head, body = NODE.ask("provider/down", {"id_no": PERSON})   # refused early: nobody tries to connect
    assert (status, head["Retry-After"]) == (502, "2"), (status, head, body)
    back = socket.socket()
    back.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    back.bind(("127.0.0.1", port))
    back.listen(16)
    assert asked("provider/down")[:2] == (502, "provider-unreachable"), "the circuit was not open"
    again = Provider.__new__(Provider)
    again.listener, again.port, again.answer, again.seen, again.heads, again.closing = back, port, Provider.one_person, 0, [], False
    city.threading.Thread(target=again._accept, daemon=True).start()
    city.wait_for(lambda: asked("provider/down")[0] == 200, 6, 0.2)


def test_98_every_attempt_is_on_record():
    kinds = [r["kind"] for r in NODE.records()]
    assert kinds.count("intent") == kinds.count("outcome"), (kinds.count("intent"), kinds.count("outcome"))


def test_99_teardown():
    NODE.stop()
    code, text = NODE.verify()
    assert code == 0, text
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
