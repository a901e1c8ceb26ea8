"""Errors of servers on the command line."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from clients.cli.app import run

PROBLEM = {"title": "Not Found", "status": 404, "detail": "job 7 does not exist"}


class Refusing(BaseHTTPRequestHandler):
    """Answers every request with the same problem document."""

    def do_GET(self) -> None:
        body = json.dumps(PROBLEM).encode()
        self.send_response(PROBLEM["status"])  # type: ignore[arg-type]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print no access log."""


@pytest.fixture
def api_url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_refusal_of_the_api_is_one_line(api_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--api-url", api_url, "job", "7"]) == 1
    assert capsys.readouterr().err == "imagegen: job 7 does not exist\n"
