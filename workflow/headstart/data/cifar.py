"""CIFAR-10 and CIFAR-100 as torchvision publishes them, written out as folders of PNG files."""

import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from headstart import HeadstartError
from headstart.data import archives


def origin(name: str) -> tuple[str, str]:
    """Address and MD5 ('md5:…') of the archive behind a class of torchvision.datasets."""
    kind = _kind(name)
    return kind.url, f"md5:{kind.tgz_md5}"


def write(name: str, archive: Path, target: Path) -> None:
    """Write the images of an archive as target/PART/CLASS/INDEX.png, PART train or test.

    INDEX counts within the part, in torchvision's order. torchvision reads the archive's files,
    and checks each against its own digest before. `target` appears only when it is complete.

    Raises:
        HeadstartError: the archive cannot be unpacked, or holds something else.
    """
    with archives.appearing(target) as folder:
        unpacked = folder / "unpacked"
        archives.extract(archive, unpacked)
        for part in ("train", "test"):
            try:
                images = _kind(name)(unpacked, train=part == "train", download=False)
            except RuntimeError:
                raise HeadstartError(
                    f"dataset.address: {archive} is not the {name} that torchvision knows; its "
                    "files have other digests"
                ) from None
            _write_part(images, folder / part)
        shutil.rmtree(unpacked)


def _kind(name: str) -> Any:
    from torchvision import datasets

    return getattr(datasets, name)


def _write_part(images: Any, folder: Path) -> None:
    for label in images.classes:
        (folder / label).mkdir(parents=True)
    for index, (pixels, target) in enumerate(zip(images.data, images.targets, strict=True)):
        path = folder / images.classes[target] / f"{index:05d}.png"
        Image.fromarray(pixels).save(path)
