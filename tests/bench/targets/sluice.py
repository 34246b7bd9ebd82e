"""Sluice, everything on: policy, evidence durable before release, Merkle tree, body digests, translation of every item.

Made as a newcomer would, with the two programs only: a node, departments, an application and its certificate, one resource for each size of the
provider's answer, request, two approvals, a grant."""
import json
import os
import pathlib
import sys

from harness.process import Process, Unavailable
from harness.upstream import SIZES, answer

NAME = "sluice"
CONNECTOR = """connector:
  kind: http
  endpoint: http://127.0.0.1:{port}/{name}
  tls: {{mode: none, reason: loopback benchmark}}
  timeout: {timeout}
  limits: {{in_flight: 4096}}
"""
RESOURCE = """kind: Resource
id: provider/{name}
code: 101001/{number}
title: {{zh: 压测{name}, en: Bench {name}}}
abstract: an answer of a known size
class: base/population
format: {{class: interface, type: json}}
share: {{type: conditional, condition: benchmarks, mode: interface}}
open: none
update: daily
contact: {{person: provider/pat, phone: 0543-0000000}}
items:
  - {{name: id, title: 编号, type: C, length: 8}}
  - {{name: name, title: 姓名, type: C, length: 50}}
  - {{name: division, title: 区划, type: C, length: 12}}
  - {{name: relation, title: 关系, type: C, length: 2}}
  - {{name: since, title: 日期, type: D}}
  - {{name: note, title: 备注, type: M}}
""" + CONNECTOR + """request:
  safe: true
  params:
    - {{param: q, required: true, level: 1, to: json:/q}}
response:
  records: /records
  map: {{id: id, name: name, division: division, relation: relation, since: since, note: note}}
"""
# The same bytes as a file that nobody reads.
FILE = """kind: Resource
id: provider/f{name}
code: 101001/9{number}
title: {{zh: 压测文件{name}, en: Bench file {name}}}
abstract: a file of a known size
class: base/population
format: {{class: file, type: txt}}
share: {{type: conditional, condition: benchmarks, mode: file}}
open: none
update: daily
contact: {{person: provider/pat, phone: 0543-0000000}}
items:
  - {{name: whole, title: 文件, type: G, level: 1}}
""" + CONNECTOR + """request: {{safe: true}}
response: {{whole: whole, types: [application/json]}}
"""
# Long enough for a target that is stepped or emulated; nothing waits so long otherwise.
PATIENT = "{handshake: 600s, head: 600s, body_time: 600s, idle: 1h, write: 600s, connections: 20000, connections_each: 20000, exchanges: 20000, exchanges_each: 20000, begun_each: 20000}"
TIMEOUT = "10m"
CLOCKWORK = ("tick", "writer_second", "checkpoint_make")   # alarms, 16 times a second; once a second while there is anything new
ITEMS = "id,name,division,relation,since,note"


def wanted(name):
    """What the consumer must get for the provider's answer of this size."""
    records = json.loads(answer(SIZES[name]))["records"]
    whole = {"resource": f"provider/n{name}", "records": records, "count": len(records)}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False)


def city_of(context):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "system"))
    os.environ["SLUICE_BUILD"] = str(context.build)
    import city
    city.BUILD = str(context.build)
    city.SLUICED = os.path.join(city.BUILD, "gateway", "sluiced")
    city.SLUICE = os.path.join(city.BUILD, "cli", "sluice")
    return city


def build_city(city, context):
    node = city.Node(settings=f"limits: {PATIENT}\n", workers=context.workers, directory=str((context.state or context.directory) / "node"))
    node.init()
    node.start()
    node.city()
    for number, name in enumerate(SIZES):
        text = RESOURCE.format(name="n" + name, number=number, port=context.upstream, timeout=TIMEOUT).replace(f"/n{name}\n  tls", f"/{name}\n  tls")
        node.publish(text, f"provider/n{name}")
        node.grant(f"provider/n{name}", ITEMS)
        node.publish(FILE.format(name=name, number=number, port=context.upstream, timeout=TIMEOUT), f"provider/f{name}")
        node.grant(f"provider/f{name}", "whole")
    node.stop()
    return node


def start(context):
    if not (context.build / "gateway" / "sluiced").exists():
        raise Unavailable("not built")
    city = city_of(context)
    node = build_city(city, context)
    ready = context.directory / "ready.json"
    process = Process(NAME, [city.SLUICED, "-c", os.path.join(node.dir, "sluice.yaml"), "--ready-file", ready], context.directory, context.wrap)
    try:
        city.wait_for(lambda: ready.exists() or process.popen.poll() is not None, context.patience, every=0.001)
    except AssertionError:
        process.stop()
        raise Unavailable("did not start in time") from None
    if not ready.exists():
        raise Unavailable("did not start: " + process.errors.read_text(errors="replace")[-600:])
    port = int(json.loads(ready.read_text())["data"].rsplit(":", 1)[1])
    process.wait_port(port, context.patience)
    return running(city, node, process, port)


def running(city, node, process, port):
    from . import Running
    node.data_port = port
    requests = {}
    body_file = process.output.parent / "question.json"
    body_file.write_text('{"q":"1"}')
    for name in SIZES:
        want = wanted(name)
        status, _, body = node.ask(f"provider/n{name}", {"q": "1"}, timeout=120)
        if status != 200 or body.decode() != want:
            raise Unavailable(f"wrong answer for {name}: {status} {body[:300]!r}")
        requests[name] = ["--method", "POST", "--header", "Content-Type: application/json", "--body", str(body_file), "--expect-length", str(len(want)),
                          f"https://127.0.0.1:{port}/x/provider/n{name}"]
        status, _, body = node.ask(f"provider/f{name}", method="GET", timeout=120)
        if status != 200 or body.decode() != answer(SIZES[name]):
            raise Unavailable(f"wrong file for {name}: {status} {body[:300]!r}")
        requests["file-" + name] = ["--expect-length", str(len(body)), f"https://127.0.0.1:{port}/x/provider/f{name}"]
    version = node.run("--version").stdout.strip()
    return Running(process=process, port=port, version=version, requests=requests, clockwork=CLOCKWORK, log=pathlib.Path(node.dir),
                   credentials=["--cert", node.cert("consumer/app"), "--key", node.key("consumer/app"), "--ca", node.ca])
