"""Downloads: a file from an address, resumed, retried and checked against its digest."""

import contextlib
import logging
import os
import re
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pooch
import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from headstart import HeadstartError

logger = logging.getLogger(__name__)

_KINDS = {64: "sha256", 40: "sha1", 32: "md5"}
_PAUSES = [1.0, 2.0, 4.0]  # seconds before each retry; an attempt that got further starts over
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two reads
_CHUNK = 1 << 16


class _DroppedError(Exception):
    """The server failed or the transfer ended early; another attempt may succeed."""


def fetch(address: str, expected: str | None, folder: Path) -> tuple[Path, str]:
    """Make the file behind an address available and check its content.

    A local file is taken where it is. Another is downloaded into `folder`, through a .partial
    file that a later call resumes. Without an expected digest the first download is trusted:
    its SHA-256 is written beside it, and every later content must have it.

    Args:
        address: http://, https:// or file://, or a local path.
        expected: 'sha256:…', 'sha1:…', 'md5:…' or bare hexadecimal digits.

    Returns:
        The file's path and its digest as 'kind:digits'.

    Raises:
        HeadstartError: the address is wrong or cannot be reached, or the content is another.
    """
    if path := local_file(address):
        wanted = digest(expected) if expected else None
        found = f"{(kind := _kind(wanted))}:{pooch.file_hash(str(path), alg=kind)}"
        if wanted not in (None, found):
            raise _mismatch(address, found, wanted, None)
        return path, found
    target = _target(address, folder)
    known = known_digest(address, expected, folder)
    folder.mkdir(parents=True, exist_ok=True)
    pooch.get_logger().setLevel(logging.WARNING)

    def download(_address: str, output: str, _pooch: object) -> None:
        """What pooch calls; it then checks `output` again and gives it its name."""
        partial = target.with_name(f"{target.name}.partial")
        _download(address, partial)
        found = f"{(kind := _kind(known))}:{pooch.file_hash(str(partial), alg=kind)}"
        if known not in (None, found):
            partial.unlink()
            _validator(partial).unlink(missing_ok=True)
            raise _mismatch(address, found, known, None if expected else _record(target))
        partial.replace(output)
        _validator(partial).unlink(missing_ok=True)

    if known is None:
        target.unlink(missing_ok=True)  # nothing says that it is whole
    pooch.retrieve(address, known, target.name, folder, downloader=download)
    if known is None:
        known = f"sha256:{pooch.file_hash(str(target))}"
        _record(target).write_text(f"{known.partition(':')[2]}  {target.name}\n")
    return target, known


def known_digest(address: str, expected: str | None, folder: Path) -> str | None:
    """The digest that the content must have, as 'kind:digits', if there is one yet."""
    if expected:
        return digest(expected)
    record = _record(_target(address, folder))
    return f"sha256:{record.read_text().split()[0]}" if record.is_file() else None


def forget(path: Path) -> None:
    """Remove a download and the trust in it."""
    path.unlink(missing_ok=True)
    _record(path).unlink(missing_ok=True)


def digest(text: str) -> str:
    """`dataset.hash` as 'kind:digits' in lower case."""
    kind, _, digits = text.strip().lower().rpartition(":")
    by_length = _KINDS.get(len(digits))
    if not by_length or kind not in ("", by_length) or re.search("[^0-9a-f]", digits):
        raise HeadstartError(
            f"dataset.hash is {text!r}, which is no digest; give sha256:, sha1: or md5: "
            f"and {', '.join(map(str, _KINDS))} hexadecimal digits"
        )
    return f"{by_length}:{digits}"


def local_file(address: str) -> Path | None:
    """The local file that an address means; None if it has to be downloaded.

    Raises:
        HeadstartError: there is no such file, or the address is of another kind.
    """
    if "://" not in address:
        return _existing(Path(os.path.expanduser(address)))
    with contextlib.suppress(ValueError):  # which urlsplit raises
        parsed = urlsplit(address)
        if parsed.scheme in ("http", "https") and parsed.hostname:
            return None
        if parsed.scheme == "file" and parsed.netloc in ("", "localhost"):
            return _existing(Path(unquote(parsed.path)))
    raise HeadstartError(
        f"dataset.address: {address} cannot be fetched; give an http://, https:// or file:// "
        "address, or a local path"
    )


def _existing(path: Path) -> Path:
    if not os.path.isfile(path):
        what = "is a folder, not an archive" if os.path.isdir(path) else "does not exist"
        raise HeadstartError(f"dataset.address: {path} {what}; give the path of an archive")
    return path


def _kind(known: str | None) -> str:
    return known.partition(":")[0] if known else "sha256"


def _target(address: str, folder: Path) -> Path:
    name = urlsplit(address).path.rpartition("/")[2]
    return folder / (re.sub(r"[^A-Za-z0-9_.-]", "_", name)[-100:].strip(".") or "archive")


def _record(target: Path) -> Path:
    """Where the digest of a trusted first download stands, as sha256sum writes it."""
    return target.with_name(f"{target.name}.sha256")


def _validator(partial: Path) -> Path:
    """Where the server's mark of the content that `partial` is the beginning of stands."""
    return partial.with_name(f"{partial.name}.validator")


def _mismatch(address: str, found: str, known: str | None, record: Path | None) -> HeadstartError:
    advice = (
        f"it is not what the first download brought; if you trust the new content, delete {record}"
        if record
        else "correct dataset.hash if you trust the content, or the address if not"
    )
    return HeadstartError(f"dataset.address: {address} has {found}, but expected {known}; {advice}")


def _download(address: str, partial: Path) -> None:
    """Bring `partial` to its full length, in several attempts if need be."""
    failures, furthest = 0, _size(partial)
    while True:
        try:
            return _transfer(address, partial)
        except (_DroppedError, HTTPError, requests.ConnectionError, requests.Timeout) as error:
            size, reason = _size(partial), _reason(error)
            failures = 1 if size > furthest else failures + 1
            furthest = max(size, furthest)
        except requests.RequestException as error:
            raise HeadstartError(
                f"dataset.address: {address} cannot be fetched ({_reason(error)}); "
                "check the address"
            ) from None
        except OSError as error:
            raise HeadstartError(
                f"dataset.address: {partial} cannot be written ({error.strerror}); mend that and "
                "run again to resume it"
            ) from None
        if failures > len(_PAUSES):
            raise HeadstartError(
                f"dataset.address: the download of {address} broke off at {size:,} bytes "
                f"({reason}); run again to resume it"
                if size
                else f"dataset.address: {address} cannot be reached ({reason}); "
                "check the address and the network"
            )
        logger.info("%s: %s at %s bytes; trying again", address, reason, f"{size:,}")
        time.sleep(_PAUSES[failures - 1])


def _transfer(address: str, partial: Path) -> None:
    """One attempt: append to `partial` what the server has beyond it, or begin anew."""
    headers, start = {"Accept-Encoding": "identity"}, 0
    if _validator(partial).is_file() and (start := _size(partial)):
        headers |= {"Range": f"bytes={start}-", "If-Range": _validator(partial).read_text()}
    with requests.get(address, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        total = _accept(response, address, start, partial)
        resumed = response.status_code == requests.codes.partial_content
        if not resumed:
            start = 0
            _remember_validator(response, partial)
        bar = tqdm(
            desc=partial.stem, initial=start, total=total, unit="B", unit_scale=True, disable=None
        )
        with partial.open("ab" if resumed else "wb") as file, bar:
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and _size(partial) != total:
        raise _DroppedError(f"the connection closed before {total:,} bytes")


def _accept(response: requests.Response, address: str, start: int, partial: Path) -> int | None:
    """The full length of the content, if the response brings it (or the rest of it)."""
    status = response.status_code
    if status == requests.codes.ok:
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdigit() else None
    sent = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if status == requests.codes.partial_content and sent and int(sent[1]) == start:
        return int(sent[2])
    if status in (requests.codes.partial_content, requests.codes.range_not_satisfiable):
        partial.unlink(missing_ok=True)
        raise _DroppedError("the server sent another range than asked for")
    answer = f"status {status} {response.reason or ''}".strip()
    if status == requests.codes.too_many_requests or status >= 500:
        raise _DroppedError(answer)
    raise HeadstartError(f"dataset.address: {address} answers {answer}; check the address")


def _remember_validator(response: requests.Response, partial: Path) -> None:
    """Keep what If-Range needs; without it a file that changed meanwhile would be spliced."""
    tag = response.headers.get("ETag", "")
    mark = tag if tag.startswith('"') else response.headers.get("Last-Modified")
    if mark:
        _validator(partial).write_text(mark)
    else:
        _validator(partial).unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _reason(error: BaseException) -> str:
    """The innermost cause in a few words, such as 'Connection refused'."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())[:160]
