"""The figures of the daemon, by HTTP, and as Prometheus reads them."""

import re
import socket
import urllib.error
import urllib.request

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')


def parse(text):
    """Strictly: {name: {labels: value}}; each name once, behind its HELP and TYPE."""
    found, types, current = {}, {}, None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            current = line.split()[2]
            assert current not in found, f"{current} twice"
            found[current] = {}
        elif line.startswith("# TYPE "):
            assert line.split()[2] == current
            types[current] = line.split()[3]
        else:
            name, labels, value = SAMPLE.fullmatch(line).groups()
            base = re.sub("_(bucket|sum|count)$", "", name) if types[current] == "histogram" else name
            assert base == current, line
            assert (name, labels) not in found[current], f"{line} twice"
            found[current][(name, labels) if types[current] == "histogram" else labels] = float(value)
    assert found and all(types.get(name) in ("gauge", "counter", "histogram") for name in found)
    return found


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(port, path="/metrics", method="GET"):
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method), timeout=20) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
