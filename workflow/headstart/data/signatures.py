"""Signatures: kinds of picture that are not read, told by a file's first bytes."""

_STARTS = {
    b"8BPS": "PSD",
    b"%PDF-": "PDF",
    b"%!PS": "EPS",
    b"\xc5\xd0\xd3\xc6": "EPS",
    b"\xff\x0a": "JPEG XL",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"FUJIFILMCCD-RAW": "RAW",
    b"IIRO": "RAW",
    b"IIRS": "RAW",
    b"MMOR": "RAW",
    b"IIU\x00": "RAW",
    b"FOVb": "RAW",
    b"\x00MRM": "RAW",
}
_AT = {(6, b"HEAPCCDR"): "RAW", (8, b"CR\x02"): "RAW", (128, b"DICM"): "DICOM"}
_AVIF = {b"avif", b"avis"}
_HEIC = {
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    *(b"mif1", b"mif2", b"msf1"),
}


def unsupported(data: bytes) -> str:
    """The name of a kind of picture that is not read; '' for any other file.

    Cameras' files that are laid out as TIFF are told by their tags instead (`decoding`).
    """
    for start, name in _STARTS.items():
        if data.startswith(start):
            return name
    for (place, mark), name in _AT.items():
        if data.startswith(mark, place):
            return name
    if data.startswith(b"ftyp", 4):
        return _of_brands(_brands(data))
    return "SVG" if _is_svg(data[:4096]) else ""


def _brands(data: bytes) -> set[bytes]:
    """What a file of the ISO family (HEIF, AVIF, MP4) says that it can be read as."""
    box = data[8 : min(int.from_bytes(data[:4], "big"), 512)]
    return {box[start : start + 4] for start in range(0, len(box), 4)}


def _of_brands(brands: set[bytes]) -> str:
    if brands & _AVIF:
        return ""
    if b"crx " in brands:
        return "RAW"
    return "HEIC" if brands & _HEIC else ""


def _is_svg(head: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!")) and b"<svg" in text)
