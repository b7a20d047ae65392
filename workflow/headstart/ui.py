"""The MLflow UI: a server on the loopback, opened where the answer is."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator

from headstart import HeadstartError, results
from headstart.tracking import checks, connection, database, mlflow_pages, projects, store

_HOST = "127.0.0.1"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE = 5  # seconds that the server has to end by itself


def serve(port: int, experiment: str | None) -> int:
    """Serve the store until interrupted; one that is a server already is only opened.

    Args:
        experiment: what to open; None for the latest finished.

    Raises:
        HeadstartError: there is no store, or the port is taken.
    """
    folder = results.ROOT / "mlflow"
    uri = connection.uri(folder)
    checks.require_usable(uri)
    if uri.startswith("http"):
        _open(uri, uri, experiment)
        return 0
    if uri == database.uri(folder) and not (folder / "mlflow.db").exists():
        raise HeadstartError(
            f"{folder / 'mlflow.db'} does not exist; run an experiment first: make run, or, if "
            f"one is finished, {database.ADVICE}"
        )
    database.follow(uri)
    with running(uri, port) as process:
        _open(uri, wait_until_up(process, port), experiment)
        print("Ctrl-C ends it", flush=True)
        return process.wait()


def _open(uri: str, base: str, name: str | None) -> None:
    """Print the addresses of an experiment's pages, and open the first where there is a screen."""
    latest = results.latest()
    name = name or (latest.folder.name if latest else None)
    project = projects.identity(results.ROOT) if results.ROOT.is_dir() else ""
    pages = mlflow_pages.addresses(store.client(uri), name, base, project)
    for label, page in pages.items():
        print(f"{label:<12}{page}", flush=True)
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(next(iter(pages.values())))


@contextlib.contextmanager
def running(uri: str, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """The server of a store, on the loopback only; it ends with the block, by a signal too.

    It has one worker, which starts at once and which no other one's health check can kill, and
    a process group of its own, which is ended as a whole.

    Raises:
        HeadstartError: the port is taken.
    """
    _require_free(port)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    command += ["--host", _HOST, "--port", str(port), "--workers", "1"]
    command += ["--uvicorn-opts", "--log-level warning --no-access-log"]
    environment = os.environ | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONWARNINGS": "ignore",
    }
    before = {number: signal.signal(number, _leave) for number in _SIGNALS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # until there is what to end
    server = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, mask),
    )
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        yield server
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        _end(server)
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def wait_until_up(server: "subprocess.Popen[bytes]", port: int) -> str:
    """Return the server's address when it answers.

    Raises:
        HeadstartError: it ended before.
    """
    address = f"http://{_HOST}:{port}"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        with contextlib.suppress(urllib.error.URLError, OSError):
            direct.open(f"{address}/health", timeout=5)
            return address
        if server.poll() is not None:
            raise HeadstartError(f"the MLflow server ended with status {server.returncode}")
        time.sleep(0.1)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise HeadstartError(
                f"port {port} cannot be used: {error.strerror}; name another: --port {port + 1}"
            ) from None


def _leave(number: int, _: object) -> None:
    raise SystemExit(0 if number == signal.SIGINT else 128 + number)


def _end(server: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(_GRACE)
