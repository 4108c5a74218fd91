"""A receiver of alerts, to run on a server."""

from __future__ import annotations

from typing import Final

# Appends each message that is posted to it to a file, as a line with the time of its arrival.
PROGRAM: Final = """
import http.server, json, time

class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open("/run/test-receiver/messages", "a") as file:
            file.write(json.dumps({{**message, "received_at": time.time()}}) + "\\n")
        self.send_response(200)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", {port}), Receiver).serve_forever()
"""
