"""An MCP server on standard input and output whose tools do what their names say.

    python3 backend.py TOOL...

search   answers after a quarter of a second
fail     answers that it has failed (`isError`)
refuse   answers with an error of JSON-RPC
die      ends the server
All others answer at once.
"""

import json
import os
import sys
import threading
import time

SLOW_SECONDS = 0.25
LOCK = threading.Lock()


def send(message):
    with LOCK:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def call(name):
    if name == "search":
        time.sleep(SLOW_SECONDS)
    if name == "die":
        os._exit(1)
    if name == "refuse":
        return {"error": {"code": -32602, "message": "no such issue"}}
    result = {"content": [{"type": "text", "text": name}]}
    return {"result": {**result, "isError": True} if name == "fail" else result}


def answer(request):
    method, params = request["method"], request.get("params", {})
    if method == "initialize":
        result = {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "backend", "version": "1"},
        }
    elif method == "tools/list":
        result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in sys.argv[1:]]}
    elif method == "tools/call":
        send({"id": request["id"], **call(params["name"])})
        return
    elif method == "ping":
        result = {}
    else:
        send({"id": request["id"], "error": {"code": -32601, "message": f"no method {method}"}})
        return
    send({"id": request["id"], "result": result})


for line in sys.stdin:
    message = json.loads(line)
    if "method" in message and "id" in message:
        threading.Thread(target=answer, args=(message,), daemon=True).start()
