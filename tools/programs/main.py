"""Twelve published programs behind `serve --mcp-json`, and clients that come and go.

    main.py PACKAGES VMCP_BINARY [--chromium PATH] [--to-the-end]

PACKAGES is where `run` has put what is pinned. README.md says what is looked at; what does not hold is
said at the end.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "clients"))

import processes  # noqa: E402
from processes import Failed, Program, free_port, wait_for  # noqa: E402

HERE = Path(__file__).parent
# What a client can be asked for, by the name of its kind.
LEGACY = {
    "bare": "",
    "roots": "roots",
    "sampling": "sampling",
    "elicitation": "elicitation",
    "all": "roots,sampling,elicitation",
}
START_SECONDS = 120
TIMES = 20
# How much longer a call of a modern client may take.
RATIO = 2
AFTER_SESSIONS = 60
# `bridge.idle`, and how late it may be noticed.
AFTER_CALLS = 600 + 60


class Setting:
    """Where everything is."""

    def __init__(self, packages, vmcp, chromium):
        self.packages, self.vmcp = Path(packages), vmcp
        self.chromium = chromium
        self.work = self.packages.parents[1] / "programs"
        shutil.rmtree(self.work, ignore_errors=True)
        (self.work / "files").mkdir(parents=True)
        subprocess.run(["git", "init", "--quiet", self.work / "repository"], check=True)
        self.clients = self.packages.parent / "clients"

    def npm(self, name, *arguments):
        return [str(self.packages / "node_modules" / ".bin" / name), *arguments]

    def pypi(self, name, *arguments):
        return [str(self.packages / name / "bin" / name), *arguments]

    def programs(self):
        browser = ["--headless", "--isolated", "--no-sandbox", "--output-dir", str(self.work / "pages")]
        if self.chromium:
            browser += ["--executable-path", self.chromium]
        return {
            "everything": self.npm("mcp-server-everything"),
            "filesystem": self.npm("mcp-server-filesystem", str(self.work / "files")),
            "memory": self.npm("mcp-server-memory"),
            "thinking": self.npm("mcp-server-sequential-thinking"),
            "playwright": self.npm("playwright-mcp", *browser),
            "context7": self.npm("context7-mcp"),
            "chart": self.npm("mcp-server-chart"),
            "time": self.pypi("mcp-server-time"),
            "git": self.pypi("mcp-server-git"),
            "fetch": self.pypi("mcp-server-fetch"),
            "sqlite": self.pypi("mcp-server-sqlite", "--db-path", str(self.work / "a.db")),
            "calculator": self.pypi("mcp-server-calculator"),
        }

    def calls(self):
        """What costs a program next to nothing, and needs no network."""
        return [
            ["everything_echo", {"message": "hello"}, TIMES],
            ["filesystem_list_allowed_directories", {}, TIMES],
            ["memory_read_graph", {}, TIMES],
            ["time_get_current_time", {"timezone": "UTC"}, TIMES],
            ["git_git_status", {"repo_path": str(self.work / "repository")}, TIMES],
            ["sqlite_list_tables", {}, TIMES],
            ["calculator_calculate", {"expression": "1 + 1"}, TIMES],
        ]

    def client(self, era, *arguments):
        """Runs a client, and gives what it said."""
        python = self.clients / {"legacy": "client", "modern": "modern"}[era] / "bin" / "python"
        command = [str(python), str(HERE / f"{era}.py"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        # The SDK falls over what a program asks of it while it ends; it has said all by then.
        if not done.stdout:
            raise Failed(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def lists(self, kind, address):
        if kind == "modern":
            return self.client("modern", address)
        return self.client("legacy", address, LEGACY[kind])


class Gateway:
    """vmcp before all of them, and how many processes it has."""

    def __init__(self, setting, number):
        servers = {
            name: {"command": command[0], "args": command[1:]}
            for name, command in setting.programs().items()
        }
        file = setting.work / "mcp.json"
        file.write_text(json.dumps({"mcpServers": servers}))
        port = free_port()
        self.began = time.monotonic()
        self.program = Program(
            "vmcp",
            [setting.vmcp, "serve", "--mcp-json", str(file), "--port", str(port)],
            setting.work / f"vmcp-{number}.log",
            port,
            {"XDG_STATE_HOME": str(setting.work / "state")},
        )
        self.address = f"http://127.0.0.1:{port}/mcp"
        self.status_url = f"http://127.0.0.1:{port}/status"
        self.most = 0
        threading.Thread(target=self.count, daemon=True).start()

    def processes(self):
        return len(processes.living_children(self.program.process.pid))

    def count(self):
        """Notes the most processes that there were at once."""
        while self.program.process.poll() is None:
            self.most = max(self.most, self.processes())
            time.sleep(0.02)

    def since(self):
        return time.monotonic() - self.began

    def backends(self):
        with urllib.request.urlopen(self.status_url, timeout=10) as answer:
            return json.load(answer)["backends"]

    def until_all_listed(self):
        def all_listed():
            return all(one["offers"] and not one["offer_problem"] for one in self.backends())

        wait_for("every program has said what it offers", all_listed, START_SECONDS)
        return self.since()

    def until_processes(self, most, seconds, judge, when):
        """Goes on if it takes too long: what comes next says something all the same."""
        began = time.monotonic()
        try:
            wait_for("", lambda: self.processes() <= most, seconds)
        except Failed:
            pass
        took, left = time.monotonic() - began, self.processes()
        judge.expect(left <= most, f"{when}: {left} processes after {took:.0f} s, {most} at most are to be left")

    def end(self):
        self.program.terminate(10)


class Judgement:
    """What was seen, and what of it does not hold."""

    def __init__(self):
        self.failures = []

    def say(self, what):
        print(what, flush=True)

    def expect(self, holds, what):
        self.say(f"{'' if holds else 'FAILED: '}{what}")
        if not holds:
            self.failures.append(what)


def expected(setting):
    """What each kind of client is listed by each program directly."""
    found = {kind: set() for kind in LEGACY}
    for name, command in setting.programs().items():
        for kind, can in LEGACY.items():
            listed = setting.client("legacy", f"stdio:{json.dumps(command)}", can)
            found[kind] |= {f"{name}_{tool}" for tool in listed["tools"]}
    return found


def first_lists(setting, judge, gateway, wanted, title):
    for kind, all_of_it in wanted.items():
        gateway.most = 0
        listed = setting.lists(kind, gateway.address)
        tools = set(listed["tools"])
        judge.expect(
            tools == all_of_it,
            f"{title}, {kind}: {len(tools)} of {len(all_of_it)} tools in the first list after "
            f"{listed['seconds']:.2f} s{differing(tools, all_of_it)}; at most {gateway.most} processes",
        )
        yield gateway.most


def differing(tools, wanted):
    missing, more = sorted(wanted - tools), sorted(tools - wanted)
    return f", without {missing}" * bool(missing) + f", with {more}" * bool(more)


def calls(setting, judge, gateway):
    legacy = setting.client("legacy", gateway.address, "", json.dumps(setting.calls()))["took"]
    modern = setting.client("modern", gateway.address, json.dumps(setting.calls()))["took"]
    for tool in legacy:
        # The first starts a process.
        one, other = (statistics.median(took[tool][1:]) for took in (legacy, modern))
        judge.expect(
            other <= RATIO * one,
            f"{tool}: legacy {one:.1f} ms (first {legacy[tool][0]:.0f}), modern {other:.1f} ms "
            f"(first {modern[tool][0]:.0f}), {other / one:.2f} times",
        )
    return len(legacy)


def state(setting, judge, gateway):
    """What one call of a modern client has left in a program, the next one finds."""
    thought = {"thought": "?", "thoughtNumber": 1, "totalThoughts": 3, "nextThoughtNeeded": True}
    steps = [["thinking_sequentialthinking", thought, 3]]
    last = setting.client("modern", gateway.address, json.dumps(steps))["texts"].popitem()[1]
    count = json.loads(last)["thoughtHistoryLength"]
    judge.expect(count == 3, f"thinking: after three calls it has {count} thoughts")
    if not setting.chromium:
        return judge.say("no browser: no Chromium was given")
    page = setting.work / "files" / "page.html"
    page.write_text("<title>The page that was gone to</title><p>Hello")
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port := free_port())],
        cwd=page.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}/page.html"
        wait_for("the page is served", lambda: answers(url))
        steps = [["playwright_browser_navigate", {"url": url}, 1], ["playwright_browser_tabs", {"action": "list"}, 1]]
        tabs = setting.client("modern", gateway.address, json.dumps(steps))["texts"]["playwright_browser_tabs"]
        judge.expect("The page that was gone to" in tabs, f"playwright, navigate then tabs: {tabs!r}")
    finally:
        server.terminate()
        server.wait()


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def main():
    asked = argparse.ArgumentParser()
    asked.add_argument("packages")
    asked.add_argument("vmcp")
    asked.add_argument("--chromium", help="the path of a browser")
    asked.add_argument("--to-the-end", action="store_true", help="wait until kept sessions are over")
    asked = asked.parse_args()
    setting, judge = Setting(asked.packages, asked.vmcp, asked.chromium), Judgement()
    wanted = expected(setting)
    wanted["modern"] = wanted["bare"]
    count = len(setting.programs())
    gateway = Gateway(setting, 1)
    try:
        judge.say(f"cold: all {count} programs listed after {gateway.until_all_listed():.1f} s")
        gateway.until_processes(0, 60, judge, "while nobody looks")
        most = max(first_lists(setting, judge, gateway, wanted, "warm"))
        judge.expect(most <= count, f"warm: at most {most} processes")
        called = calls(setting, judge, gateway)
        state(setting, judge, gateway)
        kept = called + 1 + bool(setting.chromium)
        gateway.until_processes(kept, AFTER_SESSIONS, judge, "when all sessions have ended")
        if asked.to_the_end:
            gateway.until_processes(0, AFTER_CALLS, judge, "when kept sessions are over")
        gateway.end()
        gateway = Gateway(setting, 2)
        for _most in first_lists(setting, judge, gateway, wanted, "second start"):
            pass
        judge.say(f"second start: all programs have answered after {gateway.until_all_listed():.1f} s")
        gateway.end()
    except Failed as failure:
        judge.expect(False, f"{failure}\n{gateway.program.tail()}")
    finally:
        processes.end_all()
    if judge.failures:
        sys.exit(f"{len(judge.failures)} of what was to hold does not")


main()
