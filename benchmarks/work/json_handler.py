"""HTTP answers of JSON for the servers of the bench."""

from http.server import BaseHTTPRequestHandler


class JsonHandler(BaseHTTPRequestHandler):
    """Answers a GET with ``body_of`` its path."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together

    def body_of(self, path: str) -> bytes | None:
        """The body for a path without its slashes; None for 404."""
        raise NotImplementedError("each server has bodies of its own")

    def do_GET(self) -> None:
        body = self.body_of(self.path.strip("/"))
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: one line per request would be noise."""
