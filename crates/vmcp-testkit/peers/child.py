"""An MCP server on standard input and output, with good and bad habits on demand.

    python3 child.py [--stubborn] [--greet] [--garbage] [--die] [--die-if=FILE] [--long-line] [--ask-roots]
                     [--by-kind] [--refuse=METHOD] [--odd=METHOD]

Written against the specification (2025-11-25, basic/transports, "stdio") and nothing else.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

out_lock = threading.Lock()
answers = {}
answered = threading.Condition()
state = {"count": 0, "extra": False, "cancelled": []}


def send(message):
    with out_lock:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def notify(method, **params):
    send({"jsonrpc": "2.0", "method": method, "params": params})


def ask(method, params):
    """Asks the client and waits for the answer."""
    number = f"ask-{threading.get_ident()}-{time.monotonic_ns()}"
    send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
    with answered:
        answered.wait_for(lambda: number in answers, timeout=20)
        return answers.pop(number, {"error": "no answer"})


def text(value):
    return {"content": [{"type": "text", "text": str(value)}]}


def call(name, arguments, meta):
    if name == "echo":
        return text(arguments.get("text", ""))
    if name == "client":
        return text(json.dumps(state["client"]))
    if name == "meta":
        return text(json.dumps(meta))
    if name == "count":
        state["count"] += 1
        return text(state["count"])
    if name == "cancelled":
        return text(json.dumps(state["cancelled"]))
    if name == "pid":
        return text(os.getpid())
    if name == "environment":
        return text(json.dumps({"env": dict(os.environ), "cwd": os.getcwd(), "argv": sys.argv[1:]}))
    if name == "sleep":
        time.sleep(arguments["ms"] / 1000)
        return text("slept")
    if name == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "progress":
        for step in range(arguments["steps"]):
            notify("notifications/progress", progressToken=meta["progressToken"], progress=step)
            time.sleep(0.02)
        return text("done")
    if name == "log":
        notify("notifications/message", level="warning", data=arguments.get("text", "logged"))
        return text("logged")
    if name == "ask":
        content = {"role": "user", "content": {"type": "text", "text": "what?"}}
        answer = ask("sampling/createMessage", {"messages": [content], "maxTokens": 5})
        return text(json.dumps(answer.get("result", answer)))
    if name == "ask_aside":
        # What it asks has nothing to do with the call, which is answered at once.
        def aside():
            state["aside"] = ask("roots/list", {}).get("result", {})
        threading.Thread(target=aside).start()
        time.sleep(0.05)
        return text("asked")
    if name == "roots":
        # What the client has said by now to what was asked when all was set.
        return text(json.dumps(answers.get("roots")))
    if name == "aside":
        return text(json.dumps(state.get("aside")))
    if name == "close":
        os.close(0)
        return text("closed")
    if name == "flood":
        stop = time.monotonic() + arguments["ms"] / 1000
        while time.monotonic() < stop:
            with out_lock:
                sys.stdout.write('\n{"jsonrpc":"2.0","id":0,"result":{}}\n' * 100)
        return text("flooded")
    if name == "garbage":
        with out_lock:
            for _ in range(arguments["lines"]):
                sys.stdout.write("this is no message\n")
            sys.stdout.flush()
        return text("written")
    if name == "noise":
        line = b"noise " * 170 + b"\n"
        for _ in range(arguments["bytes"] // len(line)):
            sys.stderr.buffer.write(line)
        sys.stderr.flush()
        return text("made")
    if name == "big":
        return text("x" * arguments["bytes"])
    if name == "spawn":
        return text(subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL).pid)
    if name == "change":
        state["extra"] = not state["extra"]
        if not arguments.get("late"):
            notify("notifications/tools/list_changed")
        else:
            # When the call has been answered, and nobody waits for anything.
            threading.Timer(0.2, notify, ["notifications/tools/list_changed"]).start()
        return text("changed")
    if name == "sampler":
        return text("sampled")
    if name == "extra" and state["extra"]:
        return text("the extra")
    return None


def say(number, before="", fill="", times=None, after="", stderr=False, end=False):
    """Writes literally what it is told, with the id of the call for `$id`; see literal.rs."""
    before, fill, after = (part.replace("$id", json.dumps(number)).encode() for part in (before, fill, after))
    out = (sys.stderr if stderr else sys.stdout).buffer
    at_once = max(1, 65536 // max(1, len(fill)))
    with out_lock:
        out.write(before)
        out.flush()
        while fill and (times is None or times > 0):
            now = at_once if times is None else min(times, at_once)
            out.write(fill * now)
            times = times if times is None else times - now
        out.write(after)
        out.flush()
        if end:
            os._exit(0)


def tools():
    names = "echo count cancelled pid environment sleep die progress log ask ask_aside aside close flood garbage noise say big spawn change roots client meta"
    names = names.split() + (["extra"] if state["extra"] else [])
    # What only clients can use that can be asked for samples.
    if "--by-kind" in sys.argv and "sampling" in state["can"]:
        names.append("sampler")
    return [{"name": name, "inputSchema": {"type": "object"}} for name in names]


def respond(request):
    method, params = request["method"], request.get("params", {})
    if method == "initialize":
        state["client"], state["can"] = params["clientInfo"], params["capabilities"]
        result = {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {
                "tools": {"listChanged": True},
                "resources": {"subscribe": True},
                "logging": {},
            },
            "serverInfo": {"name": "child", "version": "1"},
            "instructions": json.dumps(params["capabilities"]),
        }
    elif f"--refuse={method}" in sys.argv:
        result = None
    elif f"--odd={method}" in sys.argv:
        result = {"items": []}
    elif method == "tools/list":
        result = {"tools": tools()}
    elif method == "resources/list":
        result = {"resources": [{"uri": "child://one", "name": "one"}]}
    elif method == "resources/templates/list":
        result = {"resourceTemplates": []}
    elif method == "resources/read":
        result = {"contents": [{"uri": params["uri"], "text": "one"}]}
    elif method == "tools/call" and params["name"] == "say":
        say(request["id"], **params.get("arguments", {}))
        return
    elif method == "tools/call":
        result = call(params["name"], params.get("arguments", {}), params.get("_meta", {}))
    elif method in ("ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"):
        result = {}
        if method == "resources/subscribe":
            notify("notifications/resources/updated", uri=params["uri"])
    else:
        result = None
    if result is None:
        error = {"code": -32601, "message": f"unknown: {method}"}
        send({"jsonrpc": "2.0", "id": request["id"], "error": error})
    else:
        send({"jsonrpc": "2.0", "id": request["id"], "result": result})


def main():
    habits = sys.argv[1:]
    if "--stubborn" in habits:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "--greet" in habits:
        print("Welcome to this server!\n", flush=True)
    conditions = [habit.split("=", 1)[1] for habit in habits if habit.startswith("--die-if=")]
    if "--die" in habits or any(os.path.exists(file) for file in conditions):
        sys.exit("cannot work like this")
    if "--garbage" in habits:
        while True:
            print("garbage", flush=True)
    if "--long-line" in habits:
        while True:
            sys.stdout.write("x" * 65536)
    for line in sys.stdin:
        message = json.loads(line)
        if "method" not in message:
            with answered:
                answers[message["id"]] = message
                answered.notify_all()
        elif message["method"] == "notifications/initialized" and "--ask-roots" in habits:
            send({"jsonrpc": "2.0", "id": "roots", "method": "roots/list"})
        elif message["method"] == "notifications/cancelled":
            state["cancelled"].append(message["params"]["requestId"])
        elif "id" in message:
            threading.Thread(target=respond, args=(message,), daemon=True).start()
    while "--stubborn" in habits:
        time.sleep(1)


main()
