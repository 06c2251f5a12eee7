"""Programs that are started, waited for and ended; and what is left of them."""

import contextlib
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Stands in the environment of every program and of what it starts, so that none can hide.
MARK = f"VMCP_CLIENTS={secrets.token_hex(8)}"


class Failed(Exception):
    """Something that was to hold did not; the text says what, with the log that tells why."""


# Claims of ports that were given to programs, which take them a moment later: none is given twice.
CLAIMS = []


def free_port():
    """A port for a program that is about to start.

    It is below those that the system gives to connections: one of these could have taken it by then. The test kit
    chooses from the same ports, and claims them in the same way.
    """
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0vmcp-test-port-{port}")
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        CLAIMS.append(claim)
        return port


def wait_for(what, condition, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise Failed(f"it did not happen in {seconds} s: {what}")


class Program:
    """A program that listens on a port."""

    def __init__(self, name, command, log, port, environment=None):
        self.name, self.command, self.log, self.port = name, command, log, port
        self.environment = {**os.environ, **dict([MARK.split("=")]), **(environment or {})}
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
            )
        try:
            wait_for(f"{self.name} listens on port {self.port}", self.listens)
        except Failed as failure:
            raise Failed(f"{failure}\n{self.tail()}") from None

    def listens(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended with {self.process.returncode}")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.kill()
        self.start()

    def terminate(self, seconds):
        """Ends it as a system does, and says how long that took."""
        start = time.monotonic()
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end within {seconds} s of SIGTERM") from None
        return time.monotonic() - start

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            lines = "".join(f"    {line}" for line in log.readlines()[-30:])
        return f"  the log of {self.name}:\n{lines}"


def stat(pid):
    """State, parent and command line of a process, or nothing once it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            state, parent = file.read().rpartition(")")[2].split()[:2]
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return state, int(parent), file.read().replace("\0", " ").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None


def processes():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        known = stat(pid)
        if known:
            yield (int(pid), *known)


def children(parent):
    """Living and dead ones alike: a zombie is a child that nobody waited for."""
    return {pid: (state, line) for pid, state, its, line in processes() if its == parent}


def living_children(parent):
    return [pid for pid, (state, _line) in children(parent).items() if state != "Z"]


def zombies_of(parent):
    return [pid for pid, (state, _line) in children(parent).items() if state == "Z"]


def marked():
    """Every process that was started here or by one that was, but for this one."""
    found = {}
    for pid, state, _parent, line in processes():
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/environ", "rb") as file:
                if pid != os.getpid() and state != "Z" and MARK.encode() in file.read():
                    found[pid] = line
    return found


def end_all():
    for pid in marked():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().read().decode()


@contextlib.contextmanager
def checking(name):
    """A list for the programs that a check starts, and a folder for what they write. When the check is over all of them
    are ended; if it has failed, what they have said is shown, and this process ends with status 1."""
    programs = []
    with tempfile.TemporaryDirectory(prefix=f"vmcp-{name}-") as folder:
        try:
            yield programs, Path(folder)
        except (Failed, OSError, http.client.HTTPException) as failure:
            print(f"{type(failure).__name__}: {failure}", file=sys.stderr)
            for program in programs:
                print(program.tail(), file=sys.stderr)
            sys.exit(1)
        finally:
            for program in reversed(programs):
                program.kill()
            end_all()
