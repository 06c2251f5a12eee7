#!/usr/bin/env python3
"""Installs the chart in the node, lets clients call without a pause, and does to the pods what happens to pods.

    showing.py IMAGES    runs in the node (tools/node/cluster); IMAGES has the archives of the images

No session may be lost. No call may fail but those under way on a pod that is killed, and those sent to it before
the Service knows; their retries succeed. It prints what it has seen, and fails where that is otherwise.
"""

import asyncio
import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True

from load import CLIENTS, KINDS, SLOW_SECONDS, Load  # noqa: E402

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CHART = ROOT / "deploy" / "helm" / "vmcp"
PODS = "app.kubernetes.io/component=gateway"
# Backends. Of each there are pods of two colours, of which its Service takes the first.
ERAS = {"one": "legacy", "two": "modern", "three": "legacy"}
COLOURS = "blue", "green"
REST_SECONDS = 5
# So long after a pod was killed a Service may send connections to it.
STALE_SECONDS = 10
# Between the end of a process and when a client sees its connection break.
NOTICE_SECONDS = 0.5


class Wrong(Exception):
    pass


async def run(*command, given=None):
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=subprocess.PIPE if given else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said, errors = await process.communicate(given.encode() if given else None)
    if process.returncode:
        raise Wrong(f"{' '.join(map(str, command))}: {errors.decode().strip()}")
    return said.decode()


async def kubectl(*arguments, given=None):
    return await run("kubectl", *arguments, given=given)


async def helm(*arguments):
    return await run(ROOT / "target/tools/helm/helm", *arguments)


async def apply(*objects):
    await kubectl("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def backend(name, era, colour):
    labels = {"backend": name, "colour": colour}
    container = {
        "name": "backend",
        "image": "localhost/backend:node",
        "args": [era],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{name}-{colour}"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def service(name):
    selector = {"backend": name, "colour": COLOURS[0]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": selector, "ports": [{"port": 8080}]},
    }


async def install(images):
    for archive in sorted(Path(images).glob("*.tar")):
        await run("ctr", "images", "import", archive)
    password = f"--from-literal=redis-password={secrets.token_hex(16)}"
    await kubectl("create", "secret", "generic", "redis-login", password)
    await apply(
        *(backend(name, era, colour) for name, era in ERAS.items() for colour in COLOURS),
        *(service(name) for name in ERAS),
    )
    for name in ERAS:
        for colour in COLOURS:
            await kubectl("rollout", "status", f"deployment/{name}-{colour}", "--timeout=60s")
    await helm("install", "vmcp", CHART, "--values", HERE / "values.yaml", "--wait", "--timeout", "2m")


async def pods():
    """The pods that there are, also those that are about to end."""
    return json.loads(await kubectl("get", "pods", "--selector", PODS, "--output", "json"))["items"]


async def settled(count):
    """Waits until there are so many pods, all ready and none about to end."""
    await kubectl("rollout", "status", "deployment/vmcp", "--timeout=120s")
    async with asyncio.timeout(120):
        while len(await pods()) != count:
            await asyncio.sleep(0.5)


def processes():
    """The processes of vmcp on this node, by the id of their container."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "comm").read_text() == "vmcp\n":
                container = (folder / "cgroup").read_text().splitlines()[0].rsplit("/", 1)[1]
                found[container] = int(folder.name)
    return found


def process_of(pod):
    return processes()[pod["status"]["containerStatuses"][0]["containerID"].rsplit("/", 1)[1]]


def megabytes(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def gone(pid):
    """The moment in which a process was seen to be gone."""
    while Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        await asyncio.sleep(0.01)
    return time.monotonic()


async def rest():
    await asyncio.sleep(2 * REST_SECONDS)


async def restart():
    await kubectl("rollout", "restart", "deployment/vmcp")
    await settled(3)


async def scale():
    for count in [1, 3, 1, 3]:
        await kubectl("scale", "deployment/vmcp", f"--replicas={count}")
        await settled(count)


async def delete_by_force():
    pod = (await pods())[0]
    ended = asyncio.create_task(gone(process_of(pod)))
    killed = time.monotonic()
    await kubectl("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")
    await settled(3)
    return killed, await ended


async def kill_process():
    pid = process_of((await pods())[0])
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    ended = await gone(pid)
    # Its container is started again.
    await asyncio.sleep(STALE_SECONDS)
    await settled(3)
    return killed, ended


async def move(load, backend):
    """Points a backend's Service at its other pods, and ends those that it has left."""
    old, new = COLOURS
    patch = {"spec": {"selector": {"colour": new}}}
    await kubectl("patch", "service", backend, "--patch", json.dumps(patch))
    await asyncio.sleep(REST_SECONDS)
    await kubectl("scale", f"deployment/{backend}-{old}", "--replicas=0")
    left = f"backend={backend},colour={old}"
    await kubectl("wait", "--for=delete", "pod", "--selector", left, "--timeout=60s")
    await asyncio.sleep(REST_SECONDS)
    answered = load.answered_by[f"{backend}_where"]
    if not answered.startswith(f"{backend}-{new}-"):
        raise Wrong(f"{answered} answers for {backend}")


async def upgrade():
    values = ["--values", HERE / "values.yaml", "--values", HERE / "changed.yaml"]
    await helm("upgrade", "vmcp", CHART, *values, "--wait", "--timeout", "2m")
    await settled(3)


async def change_file():
    """Takes the third backend out of the ConfigMap again, and leaves the pods as they are."""
    found = json.loads(await kubectl("get", "configmap", "vmcp-config", "--output", "json"))
    before = found["data"]["config.yaml"]
    after = re.sub(r"- name: three\n +url: .*\n", "", before)
    if after == before:
        raise Wrong(f"there is no third backend in it: {before}")
    await kubectl("patch", "configmap", "vmcp-config", "--patch", json.dumps({"data": {"config.yaml": after}}))
    # kubelet looks for it every five seconds.
    await asyncio.sleep(3 * REST_SECONDS)


class Phases:
    """What was done, when, and what is wrong with what came of it."""

    def __init__(self, load):
        self.load, self.wrong = load, []
        self.began = {}  # when each phase began
        figures = ["s", "calls", *KINDS, "p50", "p99", "max", "connect", "retried"]
        print("times in ms; slow calls count but for p50 to max; retried: the longest until a retry was answered")
        print(f"{'phase':24}" + "".join(f"{figure:>8}" for figure in figures) + "  MB of each pod")

    async def phase(self, name, action):
        """Does something to the pods under the load. `action` says when a pod was killed, and ended."""
        self.load.phase = name
        start = self.began[name] = time.monotonic()
        killed = await action
        await asyncio.sleep(REST_SECONDS)
        seconds = time.monotonic() - start
        self.load.phase = "between"
        # What has begun in this phase is over then.
        await asyncio.sleep(SLOW_SECONDS + 1)
        calls = [call for call in self.load.calls if call.phase == name]
        self.judge(name, start, calls, killed)
        self.print(name, seconds, calls)

    def judge(self, name, start, calls, killed):
        for call in calls:
            if not call.is_answered:
                self.wrong.append(f"{name}: a {call.era} call was never answered: {call.failures}")
            for sent, kind, seen in call.failures:
                if not killed or not may_fail(sent, kind, *killed):
                    self.wrong.append(f"{name}: a {call.era} call failed, {sent - start:.2f} s after the start: {seen}")
        if len(calls) < 100:
            self.wrong.append(f"{name}: {len(calls)} calls are no load")

    def print(self, name, seconds, calls):
        failures = [kind for call in calls for _, kind, _ in call.failures]
        times = sorted(1000 * call.seconds for call in calls if call.is_answered and not call.is_slow)
        row = [seconds, len(calls), *(failures.count(kind) for kind in KINDS)]
        row += [times[int(len(times) * part)] for part in (0.5, 0.99)] + [times[-1]]
        row.append(1000 * max(call.to_connect for call in calls))
        row.append(1000 * max((call.with_retries for call in calls if call.failures), default=0))
        memory = "/".join(f"{megabytes(pid):.0f}" for pid in processes().values())
        print(f"{name:24}" + "".join(f"{figure:8.0f}" for figure in row) + f"  {memory}", flush=True)

    def told(self, phase, least):
        """What those who hold streams were told, since this phase began, of lists that have changed once."""
        for era, streams in self.load.streams.items():
            told = [sum(at >= self.began[phase] for at in stream.told) for stream in streams]
            print(f"  {era} streams were told of changed lists: {' '.join(map(str, told))}")
            if not least <= min(told) <= max(told) <= 1:
                self.wrong.append(f"{phase}: the lists have changed once, and {era} clients were told {told} times")


def may_fail(sent, kind, killed, ended):
    """Whether a call may fail where a pod was killed at that moment, and had ended at the other one."""
    if kind == "broken":
        return sent <= ended + NOTICE_SECONDS
    return kind == "refused" and killed <= sent <= ended + STALE_SECONDS


async def sources():
    """An address for each client, in the network of pods, so that nobody translates it."""
    addresses = [f"10.201.1.{number + 1}" for number in range(2 * CLIENTS)]
    for address in addresses:
        await run("ip", "address", "add", f"{address}/32", "dev", "node0")
    return addresses


async def until_open(address):
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(*address)
                return writer.close()
            await asyncio.sleep(0.1)


async def main():
    began = time.monotonic()
    await install(sys.argv[1])
    print(f"three replicas are ready, {time.monotonic() - began:.0f} s after the node")
    address = (await kubectl("get", "service", "vmcp", "--output", "jsonpath={.spec.clusterIP}")).strip()
    load = Load((address, 4483), "vmcp.default.svc.cluster.local:4483", await sources())
    # The node's rules may come after the pods.
    await until_open(load.address)
    clients = asyncio.create_task(load.run())
    while load.ready < 2 * CLIENTS and not clients.done():
        await asyncio.sleep(0.1)
    showing = asyncio.create_task(show(load))
    await asyncio.wait([clients, showing], return_when=asyncio.FIRST_COMPLETED)
    if clients.done():
        raise Wrong("the clients have ended") from clients.exception()
    clients.cancel()
    wrong = await showing
    for line in wrong[:20]:
        print(line)
    if wrong:
        sys.exit(f"{len(wrong)} things are wrong")


async def show(load):
    phases = Phases(load)
    await phases.phase("nothing", rest())
    await phases.phase("rollout restart", restart())
    await phases.phase("scale 1, 3, 1, 3", scale())
    await phases.phase("pod deleted by force", delete_by_force())
    await phases.phase("process killed", kill_process())
    await phases.phase("legacy backend moved", move(load, "one"))
    await phases.phase("modern backend moved", move(load, "two"))
    await phases.phase("upgrade", upgrade())
    phases.told("upgrade", least=0)
    await phases.phase("ConfigMap changed alone", change_file())
    phases.told("ConfigMap changed alone", least=1)
    return phases.wrong


asyncio.run(main())
