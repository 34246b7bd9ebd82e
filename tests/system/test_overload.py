"""A provider as the bottleneck: departments take turns at it, and under more load than it bears those let in are still served soon."""
import json
import subprocess
import sys
import threading
import time

import city
from city import Node, json_resource, PERSON

NODE = None
SERVICE = 0.1          # seconds the provider takes
PLACES = 8             # at once
CAPACITY = PLACES / SERVICE  # answers a second


# In a process of its own: the threads that ask share one interpreter, and would make it slow.
SLOW = """
import asyncio, json
async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).lower()
            asked = json.loads(await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\\r\\n")[0])))["id"]
            await asyncio.sleep(%s)
            body = json.dumps({"code": "0", "rows": [{"id": asked, "name": "x", "age": 36}]}).encode()
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %%d\\r\\n\\r\\n%%s" %% (len(body), body))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
""" % SERVICE
PROVIDER = subprocess.Popen([sys.executable, "-c", SLOW], stdout=subprocess.PIPE, text=True)
PORT = int(PROVIDER.stdout.readline())


def test_00_setup():
    global NODE
    NODE = Node()
    NODE.__enter__()
    NODE.city()
    manifest = json_resource(PORT).replace("  timeout: 5s\n", f"  timeout: 5s\n  limits: {{in_flight: {PLACES}, queue: 2s}}\n")
    NODE.publish(manifest, "provider/people")
    NODE.department("noisy")
    NODE.enrol("person", "noisy/ned")
    NODE.sluice("bureau/security", "person", "grant-role", "noisy/ned", "consumer-officer")
    NODE.enrol("app", "noisy/app", contact="{person: noisy/ned}")
    NODE.grant("provider/people", "name", purposes="check")
    rid = NODE.json("noisy/ned", "request", "create", "--app", "noisy/app", "--resource", "provider/people:name", "--purpose", "check", "--basis", "Test Act art. 1",
                    "--scenario", "a test", "--from", time.strftime("%Y-%m-%d", time.gmtime(time.time() + 8 * 3600)), "--to",
                    time.strftime("%Y-%m-%d", time.gmtime(time.time() + 30 * 86400)))["id"]
    NODE.sluice("provider/pat", "request", "approve", rid)
    NODE.sluice("bureau/ann", "request", "approve", rid)


class Asker(threading.Thread):
    """Asks again and again on one connection, with a pause in between, until told to stop."""

    def __init__(self, who, pause=0.0):
        super().__init__(daemon=True)
        self.who, self.pause = who, pause
        self.asked, self.times, self.refused, self.stopped = [], [], [], False
        self.start()

    def run(self):
        connection = NODE.connect(self.who)
        while not self.stopped:
            began = time.monotonic()
            self.asked.append(began)
            status, head, body = NODE.ask("provider/people", {"id_no": PERSON}, connection=connection)
            if status == 200:
                self.times.append(time.monotonic() - began)
            else:
                self.refused.append((status, json.loads(body)["code"], head.get("Retry-After"), time.monotonic() - began))
                time.sleep(0.1)   # a client that hears no asks again soon, but not at once
            time.sleep(self.pause)


def watch(who, askers, seconds, pause=0.0):
    """So many askers for a while; all their times and refusals."""
    running = [Asker(who, pause) for _ in range(askers)]
    time.sleep(seconds)
    return running


def end(running):
    for a in running:
        a.stopped = True
    for a in running:
        a.join()
    return [t for a in running for t in a.times], [r for a in running for r in a.refused]


def offered(running):
    """What these ask for, a second, from when all of them had begun until now."""
    asked = [list(a.asked) for a in running]
    since, now = max(a[0] for a in asked), time.monotonic()
    return sum(t >= since for a in asked for t in a) / (now - since)


def p99(times):
    return sorted(times)[int(len(times) * 0.99)]


def steady(check):
    """Other programs on the machine only ever add to a time: it holds when it holds in one of three rounds."""
    for left in (2, 1, 0):
        try:
            check()
            return
        except AssertionError as why:
            if left == 0:
                raise
            print(f"       once more: {why}")


def test_01_one_noisy_department_does_not_slow_another():
    steady(beside_a_noisy_one)


def test_02_at_three_times_the_capacity_those_let_in_are_served_soon():
    steady(under_overload)


def beside_a_noisy_one():
    alone, refused = end(watch("consumer/app", 3, 4, pause=0.02))
    assert not refused, refused[:3]
    loud = watch("noisy/app", 24, 1)
    beside, refused = end(watch("consumer/app", 3, 5, pause=0.02))
    theirs, theirs_refused = end(loud)
    print(f"       alone p99 {p99(alone) * 1000:.0f} ms ({len(alone)}), beside the noisy one {p99(beside) * 1000:.0f} ms ({len(beside)}); "
          f"noisy {len(theirs)} answers, {len(theirs_refused)} refused")
    assert not refused, refused[:3]
    assert len(theirs) > 100, "the noisy one was not noisy"
    assert p99(beside) <= 1.5 * p99(alone) + 0.02, (p99(alone), p99(beside))


def under_overload():
    normal, _ = end(watch("noisy/app", PLACES // 2, 3))
    crowd = watch("noisy/app", PLACES * 4, 5)
    load = offered(crowd)
    times, refused = end(crowd)
    print(f"       {load / CAPACITY:.1f} times the capacity asked for; normal p99 {p99(normal) * 1000:.0f} ms; "
          f"under overload {len(times)} answers with p99 {p99(times) * 1000:.0f} ms, {len(refused)} refused")
    assert load >= 3 * CAPACITY, f"that was no overload: {load:.0f} a second"
    assert len(times) > 0.7 * 5 * CAPACITY, f"the provider was idle: {len(times)} answers"
    assert p99(times) <= 2 * p99(normal) + 0.03, (p99(normal), p99(times))
    assert len(refused) > 20, "nobody was refused"
    assert {r[:2] for r in refused} == {(503, "provider-busy")} and all(r[2] for r in refused), refused[:3]
    assert sorted(r[3] for r in refused)[len(refused) // 2] < 0.05, "a refusal comes early"


def test_03_it_is_over_when_it_is_over():
    """The next one asks a provider at rest."""
    status, _, _ = NODE.ask("provider/people", {"id_no": PERSON})
    assert status == 200


def test_99_teardown():
    NODE.stop()
    code, text = NODE.verify()
    assert code == 0, text
    NODE.__exit__(None, None, None)
    PROVIDER.kill()
    PROVIDER.wait()


if __name__ == "__main__":
    city.main(globals())
