"""Servers in MLflow's place: a real one that can be killed, and ones that misbehave."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from headstart import ui

HTML = b"<html>\n<h1>Welcome</h1>\n</html>"
#: How a server misbehaves, and what the one line says of it.
FAULTS = {
    "500": "answers with status 500",
    "401": "lets nobody in (status 401)",
    "html": "does not answer as MLflow does",
    "closes": "does not answer (Remote end closed connection)",
    "hangs": "does not answer (no answer in time)",
    "refuses": "does not answer (Connection refused)",
}


class _Misbehaving(BaseHTTPRequestHandler):
    """Answers every request with the server's fault."""

    def _answer(self) -> None:
        fault = self.server.fault
        if fault == "hangs":
            self.server.over.wait()
        if fault in ("hangs", "closes"):
            return
        self.send_response(int(fault) if fault.isdigit() else 200)
        self.send_header("Content-Length", str(len(HTML)))
        self.end_headers()
        self.wfile.write(HTML)

    do_GET = do_POST = do_PUT = do_PATCH = do_HEAD = _answer

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def misbehaving(fault: str) -> Iterator[str]:
    """The address of a server with one of FAULTS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Misbehaving)
    server.fault, server.over = fault, threading.Event()
    server.daemon_threads = True
    address = f"http://127.0.0.1:{server.server_port}"
    if fault == "refuses":
        server.server_close()
        yield address
        return
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield address
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()


class Real:
    """MLflow's own server, of a store and artifacts in a folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        folder.mkdir(exist_ok=True)
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        self._process = subprocess.Popen(
            command,
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.address = ui.wait_until_up(self._process, self.port)

    def kill(self) -> None:
        """Kill it with all its processes, and wait until nothing listens."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        while socket.socket().connect_ex(("127.0.0.1", self.port)) == 0:
            time.sleep(0.05)
