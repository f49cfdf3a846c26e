"""The stream by which a page follows an action, as a browser reads it."""

import json

from support.page import HOST


class Stream:
    """GET /actions/N/flux, read event by event."""

    def __init__(self, client, job, phase):
        self.connection = client.page.connection()
        self.connection.request("GET", client.url(f"/actions/{job}/flux?etape={phase}"), headers={
            "Host": HOST, "Accept-Language": "fr", "Sec-Fetch-Site": "same-origin",
            "Cookie": "; ".join(f"{k}={v}" for k, v in client.cookies.items())})
        self.response = self.connection.getresponse()
        self.status = self.response.status

    def next(self):
        """(event, data) of the next event that has a name; comments are skipped."""
        name = None
        while True:
            line = self.response.readline().decode().rstrip("\n")
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                return name, json.loads(line[6:])

    def progress(self, condition):
        """The first progress for which it is true."""
        while True:
            name, data = self.next()
            assert name == "progress", name
            if condition(data):
                return data

    def rest(self):
        return self.response.read()

    def close(self):
        self.connection.close()
