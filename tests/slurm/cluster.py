"""Slurm on this machine alone: one node on loopback that pretends to have two GPUs."""

import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

CONFIGURATION = Path("/etc/slurm")  # where a job looks that was stripped of SLURM_CONF
_PACKAGES = ("slurm-wlm", "munge")
_DEVICES = ("/dev/null", "/dev/zero")
_SLURM_CONF = """
ClusterName=pretended
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
SlurmctldPort=17817
SlurmdPort=17818
StateSaveLocation={run}/state
SlurmdSpoolDir={run}/spool
SlurmctldPidFile={run}/slurmctld.pid
SlurmdPidFile={run}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ReturnToService=2
MinJobAge=300
KillWait=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
NodeName=localhost NodeAddr=127.0.0.1 CPUs=16 Sockets=1 CoresPerSocket=16 ThreadsPerCore=1 \
RealMemory=64000 Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


class Unavailable(Exception):
    """Why there can be no cluster here."""


def install() -> None:
    """Install Debian's packages where they are missing.

    Raises:
        Unavailable: this is not possible here, or there is a cluster already.
    """
    if os.getuid() != 0:
        raise Unavailable("Slurm's daemons must be started as root")
    if _is_foreign(CONFIGURATION / "slurm.conf"):
        raise Unavailable(f"{CONFIGURATION}/slurm.conf is there: the machine has its own cluster")
    if all(map(shutil.which, ("slurmctld", "slurmd", "munged", "sbatch"))):
        return
    if not shutil.which("apt-get"):
        raise Unavailable("slurmctld is missing, and so is apt-get")
    apt = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *_PACKAGES]):
        done = subprocess.run(
            [*apt, *arguments], env=environment, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise Unavailable(f"apt-get install {' '.join(_PACKAGES)}: {done.stderr.strip()}")


def _is_foreign(configuration: Path) -> bool:
    """Whether another cluster or another test uses it, and it was not left by a killed one."""
    if not configuration.exists():
        return False
    ours = "ClusterName=pretended\n" in configuration.read_text()
    return not ours or " is UP" in asked("scontrol", "ping")


def die_with_parent() -> None:
    """What a process does first that would otherwise go on where the test is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


class Cluster:
    """The daemons munged, slurmctld and slurmd, their files in a folder of their own."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self._daemons: list[subprocess.Popen] = []

    def start(self) -> None:
        for name in ("state", "spool"):
            (self.run / name).mkdir(parents=True)
        CONFIGURATION.mkdir(exist_ok=True)
        (CONFIGURATION / "slurm.conf").write_text(_SLURM_CONF.format(run=self.run))
        gres = [f"NodeName=localhost Name=gpu File={device}\n" for device in _DEVICES]
        (CONFIGURATION / "gres.conf").write_text("".join(gres))
        if not self._answers("munge", "-n"):
            self._start_munge()
        self._start("slurmctld", "-D")
        self._start("slurmd", "-D", "-N", "localhost")
        self._wait(lambda: asked("sinfo", "-h", "-o", "%T") == "idle", "the node to be idle")

    def _start_munge(self) -> None:
        folder = self.run / "munge"
        folder.mkdir(mode=0o755)
        Path("/run/munge").mkdir(mode=0o755, exist_ok=True)
        key = folder / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        files = {"key-file": key, "log-file": folder / "log", "seed-file": folder / "seed"}
        files |= {"pid-file": folder / "pid"}
        options = [f"--{name}={path}" for name, path in files.items()]
        self._start("munged", "--foreground", "--force", "--num-threads=1", *options)
        self._wait(lambda: self._answers("munge", "-n"), "munge to answer")

    def _start(self, *command: str) -> None:
        with (self.run / f"{command[0]}.log").open("w") as log:
            daemon = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self._daemons.append(daemon)

    def stop(self) -> None:
        """End all jobs, then the daemons, each by its process id, and take the files away."""
        try:
            subprocess.run(["scancel", "--me"], capture_output=True, timeout=30, check=False)
            self._wait(lambda: not asked("squeue", "-h", "-o", "%i"), "the jobs to end")
        except (TimeoutError, subprocess.TimeoutExpired):
            for line in asked("scontrol", "listpids").splitlines()[1:]:
                os.kill(int(line.split()[0]), signal.SIGKILL)
        finally:
            for daemon in reversed(self._daemons):
                daemon.terminate()
                try:
                    daemon.wait(10)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
            for name in ("slurm.conf", "gres.conf"):
                (CONFIGURATION / name).unlink(missing_ok=True)

    def _wait(self, done: Callable[[], bool], what: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            for daemon in self._daemons:
                assert daemon.poll() is None, self._said(daemon)
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds:.0f} s for {what}")
            time.sleep(0.2)

    def _said(self, daemon: subprocess.Popen) -> str:
        return (self.run / f"{daemon.args[0]}.log").read_text()

    @staticmethod
    def _answers(*command: str) -> bool:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def asked(*command: str) -> str:
    """What a Slurm command answers; nothing where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip()


def jobs() -> list[dict[str, str]]:
    """Every job that Slurm still knows, as `scontrol show job` names its fields."""
    lines = asked("scontrol", "--oneliner", "show", "job").splitlines()
    found = [dict(field.partition("=")[::2] for field in line.split()) for line in lines]
    return [job for job in found if "JobId" in job]


def trainings() -> list[dict[str, str]]:
    """The processes that train now: pid, Slurm job and the devices assigned to it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
            values = Path("/proc", pid, "environ").read_bytes().decode().split("\0")
        except OSError:
            continue
        environment = dict(value.partition("=")[::2] for value in values)
        if _trains(command) and "SLURM_JOB_ID" in environment:
            devices = environment.get("CUDA_VISIBLE_DEVICES", "")
            found.append({"pid": pid, "job": environment["SLURM_JOB_ID"], "devices": devices})
    return found


def _trains(command: Sequence[bytes]) -> bool:
    return len(command) > 1 and command[1].endswith(b"train.py")
