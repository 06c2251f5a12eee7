"""The differences that remain, each with its reason: a list in docs/protocol.md.

A line of it is `CLIENTS SERVERS TRANSPORTS STEP: DIRECT -> THROUGH`. The first three are words with commas
between them, or `*` for all; the comments above a line say why it differs. Every pair that a line
names must differ in just that way. `error` is any error that comes in time.
"""

from typing import NamedTuple

from kinds import KINDS, TRANSPORTS
from processes import Failed

# What a step says that was not answered: no list excuses it.
LATE = "error: nothing in time"


class Difference(NamedTuple):
    client: str
    server: str
    transport: str
    step: str
    direct: str
    through: str


    def covers(self, seen):
        """Whether this is what the list says of what was seen."""
        is_error = seen.through.startswith("error: ") and seen.through != LATE
        is_same = self.through == seen.through or (self.through == "error" and is_error)
        return self[:5] == seen[:5] and is_same


def apart(expected, found):
    """What of the list was not seen, and what was seen that is not in the list."""
    there = {one[:4]: one for one in found}
    listed = {one[:4]: one for one in expected}
    missed = {one for one in expected if one[:4] not in there or not one.covers(there[one[:4]])}
    news = {one for one in found if one[:4] not in listed or not listed[one[:4]].covers(one)}
    return missed, news


def words(text, every):
    return every if text == "*" else text.split(",")


def listed(page, clients):
    """What the list has for these clients."""
    text = page.read_text(encoding="utf-8")
    block = text.partition("\n```pairings\n")[2].partition("\n```\n")[0]
    if not block:
        raise Failed(f"{page} has no list of pairings")
    found = set()
    for line in block.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        where, _, what = line.partition(": ")
        whose, servers, transports, step = where.split()
        direct, _, through = what.partition(" -> ")
        found |= {
            Difference(client, server, transport, step, direct, through)
            for client in words(whose, KINDS)
            for server in words(servers, KINDS)
            for transport in words(transports, TRANSPORTS)
            if client in clients
        }
    return found


def between(direct, through):
    """What differs, of results by client, server and transport; and how many steps there were."""
    found, steps = set(), 0
    for pair, expected in direct.items():
        seen = through.get(pair, {})
        for step in {**expected, **seen}:
            # A client that speaks both eras may take the other one through vmcp.
            if step == "era":
                continue
            steps += 1
            one, other = (side.get(step, "nothing") for side in (expected, seen))
            if one != other and not is_only_told_more(one, other):
                found.add(Difference(*pair, step, one, other))
    return found, steps


def is_only_told_more(direct, through):
    """Some servers announce nothing where vmcp, which another client has let look, does."""
    return direct.replace("; not told;", "; told;") == through


def told(differences):
    """Lines as those of the list, with clients, servers and transports together that differ alike."""
    alike = {}
    for one in differences:
        alike.setdefault((one.step, one.direct, one.through), set()).add(one[:3])
    for (step, direct, through), pairs in sorted(alike.items()):
        servers = {}
        for client, server, transport in pairs:
            servers.setdefault((client, transport), set()).add(server)
        clients = {}
        for (client, transport), behind in servers.items():
            clients.setdefault((transport, frozenset(behind)), set()).add(client)
        transports = {}
        for (transport, behind), whose in clients.items():
            transports.setdefault((behind, frozenset(whose)), set()).add(transport)
        for (behind, whose), over in sorted(transports.items(), key=str):
            where = (short(whose, KINDS), short(behind, KINDS), short(over, TRANSPORTS))
            yield f"{' '.join(where)} {step}: {direct} -> {through}"


def short(some, every):
    return "*" if len(some) == len(every) else ",".join(one for one in every if one in some)
