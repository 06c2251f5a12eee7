"""Today's clients before today's servers, in every pairing, directly and through vmcp.

    main.py PACKAGES VMCP_BINARY [CLIENT...]

PACKAGES is where `run` has put what is pinned. Each client is one process that does the round with one
server after the other, some clients at once; README.md says what a round is.
"""

import concurrent.futures
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "clients"))

import differences  # noqa: E402
import processes  # noqa: E402
from kinds import HERE, KINDS, TRANSPORTS, Kinds  # noqa: E402
from processes import Failed, Program, free_port, wait_for  # noqa: E402

CLIENTS_AT_ONCE = 3
# So that none is left to work alone at the end.
SLOWEST_FIRST = "fastmcp4 python2 go typescript1 python1 typescript2 fastmcp3 rmcp golegacy".split()
ROUND_SECONDS = 120
# How long a tool that was added without a word may take to be in the list of a new connection.
GROWN_SECONDS = 10
DRAIN_SECONDS = 10
# How long all programs may take to start at once.
READY_SECONDS = 120
# Where the differences that remain are listed.
PROTOCOL = HERE.parents[1] / "docs" / "protocol.md"


class Client:
    """A client that does one job after the other; one that hangs is ended and begun anew."""

    def __init__(self, command, log):
        self.command, self.log, self.process = command, log, None

    def start(self):
        environment = {**os.environ, **dict([processes.MARK.split("=")])}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                text=True, env=environment,
            )
        self.answers = queue.Queue()
        threading.Thread(target=self.read, args=[self.process, self.answers], daemon=True).start()

    @staticmethod
    def read(process, answers):
        for line in process.stdout:
            answers.put(line)
        answers.put("")

    def does(self, job):
        if self.process is None:
            self.start()
        line = json.dumps({"seconds": ROUND_SECONDS, "prefix": "", **job})
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            answer = self.answers.get(timeout=ROUND_SECONDS + 30)
        except (queue.Empty, BrokenPipeError):
            answer = ""
        if answer:
            return json.loads(answer)
        self.end()
        return {"failed": "the client hung or ended"}

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


class Servers:
    """One server of each kind that listens."""

    def __init__(self, kinds, work, way):
        self.programs, self.urls = [], {}
        with concurrent.futures.ThreadPoolExecutor(CLIENTS_AT_ONCE) as pool:
            for kind, program in zip(KINDS, pool.map(lambda kind: self.start(kinds, work, way, kind), KINDS)):
                self.programs.append(program)
                self.urls[kind] = f"http://127.0.0.1:{program.port}/mcp"

    @staticmethod
    def start(kinds, work, way, kind):
        port = free_port()
        command = kinds.server(kind, backend(kind, "http"), "http", str(port))
        return Program(f"{kind} ({way})", command, work / f"{way}-server-{kind}.log", port)

    def end(self):
        for program in self.programs:
            program.kill()


def backend(kind, transport):
    return f"{kind}-{transport}"


def rounds(client, jobs, order):
    """What came of a client's round with each server, in an order of its own."""
    return {pair: client.does({"do": "round", **jobs[pair]}) for pair in order}


def grown(seen, lists, kind):
    """Adds to each round whether a new connection sees the tool that was added without a word."""
    for (server, transport), steps in seen.items():
        if steps.get("grow") == "grown" and transport == "http":
            is_seen = f"grown_{kind}" in lists.get(server, ())
            steps["grown"] = "seen" if is_seen else "not seen"


def directly(kinds, servers, kind, client, order):
    """Each server by itself; programs are started by the client."""
    jobs = {}
    for server, transport in order:
        name = backend(server, transport)
        job = {"server": name, "mark": kind}
        if transport == "http":
            jobs[server, transport] = {**job, "url": servers.urls[server]}
        else:
            jobs[server, transport] = {**job, "command": kinds.server(server, name, "stdio")}
    seen = rounds(client, jobs, order)
    lists = {server: client.does({"do": "list", "url": url}).get("tools", ()) for server, url in servers.urls.items()}
    grown(seen, lists, kind)
    return seen


def through(address, kind, client, order):
    """All servers by way of vmcp."""
    def prefix(server, transport):
        return f"{backend(server, transport)}_"

    jobs = {
        (server, transport): {
            "url": address, "prefix": prefix(server, transport), "server": backend(server, transport), "mark": kind
        }
        for server, transport in order
    }
    seen = rounds(client, jobs, order)
    wanted = {
        f"{prefix(server, 'http')}grown_{kind}"
        for server in KINDS
        if seen[server, "http"].get("grow") == "grown"
    }
    end = time.monotonic() + GROWN_SECONDS
    while True:
        tools = client.does({"do": "list", "url": address}).get("tools", ())
        if wanted <= set(tools) or time.monotonic() > end:
            break
        time.sleep(0.5)
    parts = [tool.partition("-http_") for tool in tools]
    lists = {server: {tool for name, _, tool in parts if name == server} for server in KINDS}
    grown(seen, lists, kind)
    return seen


def all_clients(kinds, clients, work, way, do):
    """Runs every client, some at once; results by client, server and transport."""
    def one(kind):
        start = time.monotonic()
        client = Client(kinds.client(kind), work / f"{way.split()[0]}-client-{kind}.log")
        # Clients begin with different servers, so that not all are before the same one.
        pairs = [(server, transport) for server in KINDS for transport in TRANSPORTS]
        turn = 2 * KINDS.index(kind)
        try:
            seen = do(kind, client, pairs[turn:] + pairs[:turn])
        finally:
            client.end()
        print(f"{kind} {way}: {len(seen)} rounds in {time.monotonic() - start:.0f} s", flush=True)
        return {(kind, *pair): steps for pair, steps in seen.items()}

    results = {}
    with concurrent.futures.ThreadPoolExecutor(CLIENTS_AT_ONCE) as pool:
        for seen in pool.map(one, sorted(clients, key=SLOWEST_FIRST.index)):
            results.update(seen)
    return results


def configuration(kinds, servers):
    """All servers behind one vmcp, each under its own name."""
    key, value = processes.MARK.split("=")
    backends = []
    for kind in KINDS:
        backends.append({"name": backend(kind, "http"), "url": servers.urls[kind]})
        command, *args = kinds.server(kind, backend(kind, "stdio"), "stdio")
        program = {"command": shutil.which(command), "args": args, "env": {key: value}}
        backends.append({"name": backend(kind, "stdio"), **program})
    naming = {"conflictResolution": "prefix", "conflictResolutionConfig": {"prefixFormat": "{workload}_"}}
    return json.dumps({
        "name": "pairings",
        "backends": backends,
        "incomingAuth": {"type": "anonymous"},
        "aggregation": naming,
        # A client that is shown less while programs start is what other tests are about.
        "sessions": {"initializeWait": "30s"},
    }, indent=1)


def run_directly(kinds, clients, work):
    servers = Servers(kinds, work, "directly")
    try:
        return all_clients(
            kinds, clients, work, "directly",
            lambda kind, client, order: directly(kinds, servers, kind, client, order),
        )
    finally:
        servers.end()


def wait_until_complete(address):
    """Until nothing is missing: a client that speaks both eras takes the legacy one where it waits."""
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "driver", "version": "1"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}

    def is_complete():
        request = urllib.request.Request(address, body, headers)
        with urllib.request.urlopen(request, timeout=READY_SECONDS) as response:
            greeting, session = json.load(response), response.headers["Mcp-Session-Id"]
        ending = urllib.request.Request(address, headers={"Mcp-Session-Id": session}, method="DELETE")
        urllib.request.urlopen(ending, timeout=READY_SECONDS).close()
        return "vmcp/missing" not in greeting["result"].get("_meta", {})

    wait_for("vmcp has the lists of every backend", is_complete, READY_SECONDS)


def run_through(kinds, clients, work, binary):
    servers = Servers(kinds, work, "through")
    file = work / "vmcp.yaml"
    file.write_text(configuration(kinds, servers), encoding="utf-8")
    port = free_port()
    command = [binary, "serve", "--debug", "--config", str(file), "--port", str(port)]
    vmcp = Program("vmcp", command, work / "vmcp.log", port)
    address = f"http://127.0.0.1:{port}/mcp"
    try:
        wait_until_complete(address)
        results = all_clients(
            kinds, clients, work, "through vmcp",
            lambda kind, client, order: through(address, kind, client, order),
        )
        had = processes.children(vmcp.process.pid)
        vmcp.terminate(DRAIN_SECONDS)
        left = {pid: line for pid, (_state, line) in had.items() if processes.stat(pid)}
        if left:
            raise Failed(f"vmcp is gone, its children are not: {left}")
        return results
    finally:
        servers.end()


def judge(direct, through, clients):
    """Says what differs; true if it is just what is listed."""
    found, steps = differences.between(direct, through)
    missed, news = differences.apart(differences.listed(PROTOCOL, clients), found)
    for title, some in (("not listed", news), ("listed, but not seen", missed)):
        for line in differences.told(some):
            print(f"FAILED, {title}: {line}")
    broken = [pair for pair, seen in direct.items() if "failed" in seen]
    for pair in broken:
        print(f"FAILED, without vmcp: {' '.join(pair)}: {direct[pair]['failed']}")
    print(f"{len(direct)} pairs, {steps} steps, {len(found)} differ, {len(found - news)} of them as listed")
    return not (missed or news or broken)


def main():
    packages, binary, *wanted = sys.argv[1:]
    start = time.monotonic()
    clients = [kind for kind in KINDS if not wanted or kind in wanted]
    # Logs and what was seen stay, as those of the other tools do.
    work = Path(packages).parents[1] / "pairings"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    kinds = Kinds(packages, binary)
    try:
        direct = run_directly(kinds, clients, work)
        between = time.monotonic()
        seen = run_through(kinds, clients, work, binary)
        for way, results in (("directly", direct), ("through", seen)):
            lines = {" ".join(pair): steps for pair, steps in results.items()}
            (work / f"{way}.json").write_text(json.dumps(lines, indent=1), encoding="utf-8")
        is_as_expected = judge(direct, seen, clients)
    except Failed as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
    finally:
        processes.end_all()
    print(f"directly {between - start:.0f} s, through vmcp {time.monotonic() - between:.0f} s")
    sys.exit(0 if is_as_expected else 1)


main()
