"""What a collector has written, and what it says of itself."""

import contextlib
import json
import re
from collections import Counter

SERVER, CLIENT = 2, 3
KINDS = ("sum", "gauge", "histogram")
VALUES = {"stringValue": str, "intValue": int, "doubleValue": float}


def attributes(of):
    return {pair["key"]: value(pair["value"]) for pair in of.get("attributes", [])}


def value(of):
    ((kind, text),) = of.items()
    return VALUES[kind](text)


def documents(files):
    """All lines of files, each of which is a request of OTLP in JSON; one that is being written does not count."""
    for file in files:
        if not file.exists():
            continue
        for line in file.read_text(encoding="utf-8").split("\n")[:-1]:
            yield json.loads(line)


def items(files, resources, scopes, kind):
    """Each item, and the attributes of whom it is from."""
    for document in documents(files):
        for holder in document[resources]:
            origin = attributes(holder["resource"])
            for scoped in holder[scopes]:
                for item in scoped[kind]:
                    yield item, origin


def spans(files):
    return list(items(files, "resourceSpans", "scopeSpans", "spans"))


def records(files):
    return list(items(files, "resourceLogs", "scopeLogs", "logRecords"))


class Export:
    """The metrics of one request of vmcp."""

    def __init__(self, holder):
        self.origin = attributes(holder["resource"])
        self.metrics = {metric["name"]: metric for scoped in holder["scopeMetrics"] for metric in scoped["metrics"]}

    def points(self, name):
        """The points of a metric; one that nobody has caused yet is not there."""
        metric = self.metrics.get(name, {})
        return [point for kind in KINDS for point in metric.get(kind, {}).get("dataPoints", [])]

    def size(self):
        return sum(len(self.points(name)) for name in self.metrics)

    def counts(self, name, *keys):
        """How many were observed, by these attributes."""
        found = Counter()
        for point in self.points(name):
            of = attributes(point)
            found[tuple(of.get(key) for key in keys)] += int(point["count"])
        return found

    def total(self, name):
        """How long all of them took, in seconds."""
        return sum(point["sum"] for point in self.points(name))

    def exported(self):
        """How many points of metrics vmcp says were taken before these."""
        (number,) = (
            int(point["asInt"])
            for point in self.points("vmcp.otlp.exported")
            if attributes(point)["vmcp.signal"] == "metrics"
        )
        return number


def exports(files):
    return [Export(holder) for document in documents(files) for holder in document["resourceMetrics"]]


def series(text):
    """Each line of Prometheus's text: a name, labels, and a number."""
    found = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            of, _, number = line.rpartition(" ")
            name, _, labels = of.partition("{")
            found.append((name, dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)), float(number)))
    return found


def total(text, name, **labels):
    """What series of this name and with these labels come to."""
    return sum(n for named, of, n in series(text) if named == name and labels.items() <= of.items())


def lost(text):
    """What a collector says that it has refused, or could not pass on."""
    name = re.compile(r"otelcol_\w*(refused|failed|dropped)\w*")
    return [each for each in series(text) if name.fullmatch(each[0]) and each[2]]


def complaints(log):
    """Lines of a collector's log that are no mere news."""
    for line in log.read_text(encoding="utf-8").splitlines():
        level = None
        with contextlib.suppress(json.JSONDecodeError):
            level = json.loads(line)["level"]
        if level != "info":
            yield line
