"""Makers of data sets, archives and tables, and a server that offers them."""

import functools
import http.server
import io
import random
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headstart import HeadstartError
from headstart.experiment import config, loading

_NOISE = random.Random(0).randbytes(50_000)
_FILES = {"set/cat/1.jpg": _NOISE, "set/dog/Käse.jpg": b"dog", "set/empty": b""}


@pytest.fixture
def mistake() -> Callable[..., str]:
    """The one line that a call ends in."""

    def fail(call: Callable[..., object], *arguments: object) -> str:
        with pytest.raises(HeadstartError) as error:
            call(*arguments)
        assert "\n" not in str(error.value)
        return str(error.value)

    return fail


@pytest.fixture
def fill() -> Callable[..., Path]:
    """Write files that hold their own names."""

    def write(root: Path, *files: str) -> Path:
        for name in files:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
        return root

    return write


@pytest.fixture
def make_dataset() -> Callable[..., config.Dataset]:
    """A dataset with the schema's defaults filled in."""
    head = {"init": "pretrained", "phases": [{"train": "head", "epochs": 1, "lr": 0.1}]}

    def make(source: str, **settings: Any) -> config.Dataset:
        dataset = {"source": source, **settings}
        raw = {"experiment": "e", "dataset": dataset, "strategies": {"h": head}}
        return loading.from_dict(raw).dataset

    return make


@pytest.fixture
def make_package(
    fill: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., config.Dataset]:
    """A package of its own name on sys.path whose import would fail, with a table of this text."""

    def make(text: str, **table: Any) -> config.Dataset:
        root = tmp_path / "fakepics"
        fill(root, "__init__.py", "pics/a.jpg", "one/b.jpg")
        (root / "__init__.py").write_text("raise RuntimeError('imported')")
        (root / "labels.csv").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        settings = {
            "file": "labels.csv",
            "separator": "comma",
            "columns": None,
            "image": "pics/{name}.jpg",
            "label": "kind",
            "threshold": None,
        }
        return config.Dataset("package", package="fakepics", table=config.Table(**settings | table))

    return make


@pytest.fixture
def pack() -> Callable[..., Path]:
    """A zip of files that hold their own names; `texts` are the tables, by name without suffix."""

    def make(path: Path, *names: str, **texts: str) -> Path:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, name)
            for name, text in texts.items():
                archive.writestr(f"set/{name}.txt", text)
        return path

    return make


@pytest.fixture
def good_files() -> dict[str, bytes]:
    """What `make_zip` and `make_tar` pack if not told otherwise."""
    return dict(_FILES)


@pytest.fixture
def make_zip() -> Callable[..., Path]:
    """A zip; `change` sets attributes of every entry."""

    def make(path: Path, files: dict[str, bytes] = _FILES, **change: Any) -> Path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, data in files.items():
                info = zipfile.ZipInfo("placeholder")
                info.filename = info.orig_filename = name
                info.compress_type = zipfile.ZIP_DEFLATED
                for key, value in change.items():
                    setattr(info, key, value)
                packed.writestr(info, data)
        return path

    return make


@pytest.fixture
def make_tar() -> Callable[..., Path]:
    """A tar of files, then members; `keys` go to tarfile."""

    def make(
        path: Path,
        *members: tarfile.TarInfo,
        mode: str = "w",
        files: dict[str, bytes] = _FILES,
        **keys: Any,
    ) -> Path:
        with tarfile.open(path, mode, **keys) as packed:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                packed.addfile(info, io.BytesIO(data))
            for info in members:
                packed.addfile(info, io.BytesIO(bytes(info.size)))
        return path

    return make


@pytest.fixture
def member() -> Callable[..., tarfile.TarInfo]:
    """A member of a tar of any kind, with rights that it should not keep."""

    def make(
        name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0
    ) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size, info.mode = kind, link, size, 0o6755
        return info

    return make


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which a server of ours offers it."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
