"""The kinds of clients and servers, and how each is started."""

from pathlib import Path

HERE = Path(__file__).parent

# In the order of the configuration. Every kind is a client and a server.
KINDS = "python1 python2 typescript1 typescript2 fastmcp3 fastmcp4 rmcp go golegacy".split()
TRANSPORTS = ("http", "stdio")


class Kinds:
    """The commands of each kind; PACKAGES is where `run` has put what is pinned."""

    def __init__(self, packages, vmcp):
        self.packages, self.pairing = Path(packages), str(Path(vmcp).with_name("vmcp-pairing"))

    def client(self, kind):
        return self.command(kind, "client", [])

    def server(self, kind, name, *transport):
        return self.command(kind, "server", [name, *transport])

    def command(self, kind, part, arguments):
        match kind:
            case "python1" | "python2":
                return [self.python(kind), str(HERE / f"{kind}_{part}.py"), *arguments]
            case "fastmcp3" | "fastmcp4":
                return [self.python(kind), str(HERE / f"fastmcp_{part}.py"), *arguments]
            case "typescript1" | "typescript2":
                return ["node", str(self.packages / f"{kind}_{part}.mjs"), *arguments]
            case "rmcp":
                return [self.pairing, part, *arguments]
            case "go":
                return [str(self.packages / "pairings"), part, *arguments]
            case "golegacy":
                return [str(self.packages / "pairings"), part, *arguments, "legacy"]
        raise ValueError(f"no such kind: {kind}")

    def python(self, kind):
        return str(self.packages / kind / "bin" / "python")
