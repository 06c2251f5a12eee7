"""Official SDKs and published servers, with vmcp between them.

    main.py PACKAGES VMCP_BINARY [PART...]
    main.py PACKAGES --direct [PART...]

PACKAGES is where `run` has put what is pinned. Parts run at once; each line says what came of one.
"""

import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import processes
from processes import Failed, Program, free_port, wait_for

HERE = Path(__file__).parent
CLIENT_SECONDS = 60
DRAIN_SECONDS = 10
# What the servers of the modern era are called.
MODERN = {"python": "py", "typescript": "ts"}


class Setting:
    """Where everything is."""

    def __init__(self, vmcp, packages, work):
        self.vmcp, self.packages, self.work = vmcp, Path(packages), work
        modules = self.packages / "node_modules"
        self.servers = modules / "@modelcontextprotocol"
        self.new_node = str(modules / "node" / "bin" / "node")
        self.everything = str(self.servers / "server-everything" / "dist" / "index.js")

    def client(self, sdk, name):
        if sdk == "python":
            return [str(self.packages / "client" / "bin" / "python"), str(HERE / f"{name}.py")]
        return ["node", str(self.packages / f"{name}.mjs")]

    def modern(self, sdk, name):
        """A client or server of the SDKs that speak the modern era."""
        if sdk == "python":
            return [str(self.packages / "modern" / "bin" / "python"), str(HERE / f"{name}.py")]
        return self.client(sdk, name)

    def modern_server(self, sdk):
        """modern_server.* as a program of its own, and the URL of it."""
        port = free_port()
        command = [*self.modern(sdk, "modern_server"), MODERN[sdk], str(port)]
        log = self.work / f"modern-{sdk}-{port}.log"
        return Program(f"modern {sdk}", command, log, port), f"http://127.0.0.1:{port}/mcp"

    def python_server(self, name):
        return str(self.packages / "servers" / "bin" / name)

    def listening_everything(self, transport):
        """server-everything as a program of its own, and the URL of it."""
        port = free_port()
        argument, path = {"http": ("streamableHttp", "mcp"), "sse": ("sse", "sse")}[transport]
        command = ["node", self.everything, argument]
        log = self.work / f"everything-{transport}-{port}.log"
        server = Program(f"everything over {transport}", command, log, port, {"PORT": str(port)})
        return server, f"http://127.0.0.1:{port}/{path}"

    def gateway(self, name, arguments):
        port = free_port()
        command = [self.vmcp, "serve", "--debug", *arguments, "--port", str(port)]
        state = {"XDG_STATE_HOME": str(self.work / f"state-{name}")}
        return Program(f"vmcp ({name})", command, self.work / f"vmcp-{name}.log", port, state)


def own_program(command):
    """The configuration of a backend that is a program."""
    key, value = processes.MARK.split("=")
    return {"command": command[0], "args": command[1:], "env": {key: value}}


def configuration(backends, aggregation=None, **more):
    naming = {"conflictResolution": "prefix", **(aggregation or {})}
    naming["conflictResolutionConfig"] = {"prefixFormat": "{workload}_"}
    named = [{"name": name, **backend} for name, backend in backends.items()]
    incoming = {"type": "anonymous"}
    return json.dumps(
        {"name": "real", "backends": named, "incomingAuth": incoming, "aggregation": naming,
         # On a busy machine a program may take long to start; a client that is shown less at first
         # is what other tests are about.
         "sessions": {"initializeWait": "20s"}, **more},
        indent=1,
    )


def run_client(command, when_asked=None):
    """Runs a client to its end, does what it asks, and gives back what it said of itself."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    client = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    deadline = threading.Timer(CLIENT_SECONDS, client.kill)
    deadline.start()
    lines, said = [], None
    try:
        for line in client.stdout:
            lines.append(line)
            if line.startswith("ask: "):
                when_asked()
                client.stdin.write("done\n")
                client.stdin.flush()
            elif line.startswith("said: "):
                said = line.removeprefix("said: ").strip()
        client.wait()
    finally:
        deadline.cancel()
        client.kill()
    if client.returncode != 0 or said is None:
        raise Failed(f"{' '.join(command)}\nended with {client.returncode}:\n{''.join(lines)}")
    return said


def end(vmcp):
    """SIGTERM: vmcp ends in time, and nothing that it started outlives it."""
    wait_for("every child that ended was waited for", lambda: not processes.zombies_of(vmcp.process.pid))
    had = processes.children(vmcp.process.pid)
    took = vmcp.terminate(DRAIN_SECONDS)
    left = {pid: line for pid, (_state, line) in had.items() if processes.stat(pid)}
    if left:
        raise Failed(f"vmcp is gone, its children are not: {left}")
    return f"ended in {took:.1f} s with {len(had)} children"


def kill_children(vmcp):
    for pid in processes.living_children(vmcp.process.pid):
        os.kill(pid, signal.SIGKILL)


def logs(*programs):
    return "".join(one.tail() for one in programs if one)


def rounds(setting, transport):
    """One server-everything and both SDKs, one after the other, each doing all there is to do."""
    if transport == "stdio":
        backend, server = own_program(["node", setting.everything]), None
    else:
        server, url = setting.listening_everything(transport)
        backend = {"url": url, **({"transport": "sse"} if transport == "sse" else {})}
    file = setting.work / f"vmcp-{transport}.yaml"
    file.write_text(configuration({transport: backend}))
    vmcp = setting.gateway(transport, ["--config", str(file)])
    address = f"http://127.0.0.1:{vmcp.port}/mcp"
    restart = server.restart if server else lambda: kill_children(vmcp)
    try:
        for before, sdk in enumerate(("python", "typescript")):
            start = time.monotonic()
            said = run_client([*setting.client(sdk, "round"), address, f"{transport}_"], restart)
            # One child is of vmcp itself, and each client so far has left one to watch with.
            few = lambda: len(processes.living_children(vmcp.process.pid)) <= 2 + before
            wait_for("the program of a session ends with it", few)
            yield f"{sdk} over {transport}: {said}; {time.monotonic() - start:.1f} s"
        yield f"vmcp over {transport}: {end(vmcp)}"
    except Failed as failure:
        raise Failed(f"{failure}\n{logs(vmcp, server)}") from None


def repository_in(folder):
    """A git repository with one commit."""
    git = ["git", "-C", str(folder), "-c", "user.name=vmcp", "-c", "user.email=vmcp@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    first = ["commit", "--quiet", "--allow-empty", "--message", "The first commit"]
    subprocess.run([*git, *first], check=True)


def six_backends(setting, folder, repository):
    """What a user would write in mcp.json, and the servers among it that listen by themselves."""
    http, http_url = setting.listening_everything("http")
    sse, sse_url = setting.listening_everything("sse")
    filesystem = str(setting.servers / "server-filesystem" / "dist" / "index.js")
    git = [setting.python_server("mcp-server-git"), "--repository", str(repository)]
    backends = {
        "filesystem": own_program(["node", filesystem, str(folder)]),
        "git": own_program(git),
        "http": {"type": "http", "url": http_url},
        "sse": {"type": "sse", "url": sse_url},
        "stdio": own_program(["node", setting.everything]),
        "time": own_program([setting.python_server("mcp-server-time")]),
    }
    return backends, [http, sse]


def inspect(setting, address):
    """The inspector's command line mode: the tools of all six, and a call."""
    launcher = setting.servers / "inspector" / "clients" / "launcher" / "build" / "index.js"
    command = [setting.new_node, str(launcher), "--cli", address, "--transport", "http", "--method"]

    def answer(*arguments):
        run = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=30)
        if run.returncode != 0:
            raise Failed(f"the inspector ended with {run.returncode}: {run.stdout}{run.stderr}")
        return json.loads(run.stdout)

    wanted = {"git_git_log", "http_echo", "sse_echo", "stdio_echo", "time_convert_time"}

    def complete():
        names = {tool["name"] for tool in answer("tools/list")["tools"]}
        return names if wanted <= names else None

    # It does not wait for what comes late, so it may have to be asked again.
    names = wait_for("the inspector sees the tools of all six", complete)
    called = answer("tools/call", "--tool-name", "stdio_echo", "--tool-arg", "message=inspected")
    if called["content"][0]["text"] != "Echo: inspected":
        raise Failed(f"the inspector's call: {called}")
    return f"{len(names)} tools and a call"


def mixed(setting):
    """Six servers behind one vmcp, started from an mcp.json, and three clients at once."""
    folder, other, repository = (setting.work / name for name in ("roots", "other", "repository"))
    for directory in (folder, other, repository):
        directory.mkdir()
    repository_in(repository)
    backends, servers = six_backends(setting, other, repository)
    file = setting.work / "mcp.json"
    file.write_text(json.dumps({"mcpServers": backends}, indent=1), encoding="utf-8")
    vmcp = setting.gateway("mixed", ["--mcp-json", str(file)])
    address = f"http://127.0.0.1:{vmcp.port}/mcp"
    arguments = [address, str(folder), str(repository)]
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            start = time.monotonic()
            running = {
                sdk: pool.submit(run_client, [*setting.client(sdk, "mixed"), *arguments])
                for sdk in ("python", "typescript")
            }
            running["inspector"] = pool.submit(inspect, setting, address)
            for client, run in running.items():
                yield f"{client} over six: {run.result()}; {time.monotonic() - start:.1f} s"
        yield f"vmcp over six: {end(vmcp)}"
    except Failed as failure:
        raise Failed(f"{failure}\n{logs(vmcp, *servers)}") from None


class Replicas(Program):
    """Replicas of vmcp behind a balancer that sends each request to the next one."""

    def __init__(self, setting, name, backends, *options, **more):
        file = setting.work / f"vmcp-{name}.yaml"
        storage = {"provider": "redis", "address": "REDIS"}
        file.write_text(configuration(backends, sessionStorage=storage, **more))
        program = Path(setting.vmcp).with_name("vmcp-replicas")
        command = [str(program), "--vmcp", setting.vmcp, "--config", str(file), *options]
        super().__init__(f"replicas ({name})", command, setting.work / f"{name}.log", 0)

    def listens(self):
        super().listens()
        said = [line.split() for line in self.log.read_text().splitlines()]
        self.address = next((line[2] for line in said if line[:2] == ["listening", "on"]), None)
        return self.address


def replicas(setting):
    """Two replicas in turn: both SDKs do all there is to do, and count while replicas are killed."""
    server, url = setting.listening_everything("http")
    through = Replicas(setting, "replicas", {"http": {"url": url}})
    log = setting.work / "counting.log"
    port = free_port()
    testkit = str(Path(setting.vmcp).with_name("vmcp-testkit"))
    counting = Program("counting", [testkit, "counting", "--port", str(port)], log, port)
    backend = {"c": {"url": f"http://127.0.0.1:{port}/mcp"}}
    dying = Replicas(setting, "dying", backend, "--replicas", "3", "--kill-every", "2")
    try:
        for sdk in ("python", "typescript"):
            said = run_client([*setting.client(sdk, "round"), through.address, "http_"], server.restart)
            yield f"{sdk} through two replicas: {said}"
            said = run_client([*setting.client(sdk, "lasting"), dying.address, "c_"])
            yield f"{sdk} while replicas die: {said}"
        for program in (through, dying):
            program.terminate(DRAIN_SECONDS)
    except Failed as failure:
        raise Failed(f"{failure}\n{logs(through, dying, server, counting)}") from None


def at_once(clients, **options):
    """Runs clients at once, each with its title; gives what each has said."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = {title: pool.submit(run_client, each, **options) for title, each in clients.items()}
        return {title: run.result() for title, run in running.items()}


def modern(setting):
    """The SDKs of the modern era: servers of theirs, one of the legacy era, and clients of either."""
    servers = {sdk: setting.modern_server(sdk) for sdk in MODERN}
    old, old_url = setting.listening_everything("http")
    backends = {MODERN[sdk]: {"url": url} for sdk, (_server, url) in servers.items()}
    backends["old"] = {"url": old_url}
    # Small enough for lists of some pages.
    pages = {"pageSize": 7}
    file = setting.work / "vmcp-modern.yaml"
    file.write_text(configuration(backends, pages))
    vmcp = setting.gateway("modern", ["--config", str(file)])
    through = Replicas(setting, "modern-replicas", backends, aggregation=pages)
    address = f"http://127.0.0.1:{vmcp.port}/mcp"
    try:
        for way, url in (("vmcp", address), ("two replicas", through.address)):
            for others in (list(MODERN), list(MODERN)[::-1]):
                yield from modern_rounds(setting, way, url, dict(zip(MODERN, others)))
        yield eras(setting, address)
        through.terminate(DRAIN_SECONDS)
        yield f"vmcp before both eras: {end(vmcp)}"
    except Failed as failure:
        programs = [vmcp, through, old, *(server for server, _url in servers.values())]
        raise Failed(f"{failure}\n{logs(*programs)}") from None


def modern_rounds(setting, way, url, pairs):
    """Each SDK before the server that it is paired with."""
    start = time.monotonic()
    rounds = {
        f"{sdk} before {other} through {way}": [*setting.modern(sdk, "modern_round"), url, MODERN[other]]
        for sdk, other in pairs.items()
    }
    for title, said in at_once(rounds).items():
        yield f"modern {title}: {said}; {time.monotonic() - start:.1f} s"


def eras(setting, address):
    """Clients of both eras at once, which see the same of servers of both."""
    start = time.monotonic()
    clients = {
        (sdk, era): [*setting.modern(sdk, "across"), address, era, *MODERN.values()]
        for sdk in MODERN
        for era in ("legacy", "modern")
    }
    all_have_read = threading.Barrier(len(clients), timeout=CLIENT_SECONDS)
    said = at_once(clients, when_asked=all_have_read.wait)
    if len(set(said.values())) != 1:
        raise Failed(f"clients see other things: {said}")
    parts = next(iter(said.values())).partition(":")[0]
    return f"{len(said)} clients of both eras at once: {parts}, one catalog; {time.monotonic() - start:.1f} s"


def odd(setting):
    """Servers of both eras list odd items. The models of every SDK read what vmcp makes of the lists, and
    find in it what clients of their era can read, whichever server has listed it."""
    testkit = str(Path(setting.vmcp).with_name("vmcp-testkit"))
    servers, backends = [], {}
    for name, peer in (("old", "odd"), ("new", "odd-modern")):
        port = free_port()
        command = [testkit, peer, "--port", str(port)]
        servers.append(Program(peer, command, setting.work / f"{peer}.log", port))
        backends[name] = {"url": f"http://127.0.0.1:{port}/mcp"}
    file = setting.work / "vmcp-odd.yaml"
    file.write_text(configuration(backends))
    vmcp = setting.gateway("odd", ["--config", str(file)])
    address = f"http://127.0.0.1:{vmcp.port}/mcp"
    clients = {(sdk, "1", "legacy"): setting.client(sdk, "odd") for sdk in MODERN}
    for era in ("legacy", "modern"):
        clients |= {(sdk, "2", era): setting.modern(sdk, "odd_modern") for sdk in MODERN}
    try:
        said = at_once({who: [*command, address, who[2]] for who, command in clients.items()})
        for era in ("legacy", "modern"):
            read = {names for (_sdk, _version, of), names in said.items() if of == era}
            if len(read) != 1:
                raise Failed(f"{era} clients read other lists: {said}")
            names = read.pop().split(": ", 1)[1].split()
            labels = {name.removeprefix("old_").removeprefix("new_").split("-")[0] for name in names}
            if labels - {"fit", era} or "fit" not in labels:
                raise Failed(f"{era} clients are shown what they should not be: {names}")
            yield f"{era} clients of every SDK read {len(names)} items among odd ones"
        yield f"vmcp before odd lists: {end(vmcp)}"
    except Failed as failure:
        raise Failed(f"{failure}\n{logs(vmcp, *servers)}") from None


def direct_modern(setting):
    for sdk in MODERN:
        _server, url = setting.modern_server(sdk)
        for other in MODERN:
            said = run_client([*setting.modern(other, "modern_round"), url, MODERN[sdk], "direct"])
            yield f"modern {other} before {sdk}, without vmcp: {said}"


def direct(setting, transport):
    if transport == "stdio":
        address = "stdio:" + json.dumps(["node", setting.everything])
    else:
        _server, address = setting.listening_everything(transport)
    for sdk in ("python", "typescript"):
        said = run_client([*setting.client(sdk, "round"), address, "", "direct"])
        yield f"{sdk} over {transport}, without vmcp: {said}"


def told(part, *arguments):
    """Says each line of a part as it comes; true if it came to its end."""
    try:
        for line in part(*arguments):
            print(line, flush=True)
        return True
    except Failed as failure:
        print(f"FAILED: {part.__name__} {arguments[1:]}: {failure}", file=sys.stderr, flush=True)
        return False


def main():
    packages, vmcp, *wanted = sys.argv[1:]
    start = time.monotonic()
    # Logs and configurations stay, as those of the conformance suite do.
    work = Path(packages).parents[1] / "clients"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    setting = Setting(vmcp, packages, work)
    through = vmcp != "--direct"
    parts = {one: (rounds if through else direct, one) for one in ("stdio", "sse", "http")}
    if through:
        parts["mixed"] = (mixed,)
        parts["replicas"] = (replicas,)
        parts["odd"] = (odd,)
    parts["modern"] = (modern if through else direct_modern,)
    parts = [part for name, part in parts.items() if not wanted or name in wanted]
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            outcomes = list(pool.map(lambda part: told(part[0], setting, *part[1:]), parts))
    finally:
        processes.end_all()
    print(f"{sum(outcomes)} of {len(outcomes)} parts, {time.monotonic() - start:.0f} s")
    sys.exit(0 if all(outcomes) else 1)


main()
