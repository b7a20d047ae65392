"""`headstart ui`: soon up, on the loopback only, and gone with all its processes."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from ports import free_port

from headstart import cli
from headstart.tracking import connection
from headstart.tracking.runlog import RunLog


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project whose store has an experiment."""
    project = tmp_path_factory.mktemp("project")
    prepared = connection.prepare(project / "results/mlflow", "cells")
    tags = {"strategy": "full", "fraction": "1.0"}
    RunLog.start(prepared, "full/seed-0", {}, tags).end()
    return project


def start(project: Path, port: int) -> subprocess.Popen[str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "DISPLAY": "",
        "http_proxy": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "headstart.cli", "ui", "--port", str(port)]
    return subprocess.Popen(
        [*command, "--experiment", "cells"],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def processes(port: int) -> list[str]:
    """The command lines of all processes that serve the port."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it has just ended
        if f"--port {port} " in command and str(os.getpid()) != path.parent.name:
            found.append(command)
    return found


def status(url: str, data: bytes | None = None, **headers: str) -> int:
    names = {key.replace("_", "-"): value for key, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, names)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_ui_is_up_soon_and_for_this_machine_only(project):
    port = free_port()
    began = time.monotonic()
    process = start(project, port)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    took = time.monotonic() - began
    base = f"http://127.0.0.1:{port}"
    assert re.match(rf"Strategies +{base}/#/experiments/1/runs\?.*headstart-strategies", lines[0])
    assert re.match(rf"Charts +{base}/#/experiments/1/runs\?.*headstart-charts", lines[1])
    assert os.getloadavg()[0] > 2 or took < 15, f"{took:.1f} s"
    search = f"{base}/api/2.0/mlflow/experiments/search?max_results=1"
    assert status(search) == 200
    assert status(search, Host="evil.example") == 403
    create, body = f"{base}/api/2.0/mlflow/experiments/create", b'{"name": "stolen"}'
    kind = {"Content_Type": "application/json"}
    assert status(create, body, Origin="http://evil.example", **kind) == 403
    with socket.socket() as other:
        assert other.connect_ex((outer_address(), port)) != 0 or outer_address() == "127.0.0.1"
    assert cli.main(["ui", "--port", str(port)]) == 1, "taken"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143 and processes(port) == []


def outer_address() -> str:
    """This machine's address on its network, or the loopback without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGHUP, 129)])
def test_a_signal_while_it_starts_leaves_no_process(project, number, code):
    port = free_port()
    process = start(project, port)
    deadline = time.monotonic() + 60
    while len(processes(port)) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(20) == code
    assert processes(port) == []
