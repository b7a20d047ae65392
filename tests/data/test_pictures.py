"""Pictures that a user names: what counts below a folder, and what is passed over."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.data import pictures


@pytest.fixture
def album(tmp_path: Path, fill: Callable, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path, "album/b.JPG", "album/a.png", "album/deep/er/c.heic", "album/d.tga")
    fill(tmp_path, "album/notes.txt", "album/raw.psd", "album/Thumbs.db", "album/._a.png")
    fill(tmp_path, "album/@eaDir/a.png", "album/deep/__MACOSX/x/c.png", "album/.git/a.png")
    (tmp_path / "album/e.png").mkdir()
    (tmp_path / "album/f.png").symlink_to("nowhere.png")
    return Path("album")


def test_images_below_a_folder_are_found_in_order_without_junk(album):
    names = ["a.png", "b.JPG", "d.tga", "deep/er/c.heic"]
    assert pictures.find(["album"]) == [album / name for name in names]
    assert pictures.find(["album/"]) == [album / name for name in names]


def test_what_is_named_counts_whatever_its_name(album):
    given = ["album/notes.txt", "album/._a.png", "album/@eaDir"]
    assert pictures.find(given) == [*map(Path, given[:2]), album / "@eaDir/a.png"]


@pytest.mark.parametrize(
    "given, line",
    [
        (["album", ""], "IMAGE is empty; give an image file or a folder of images"),
        (["album/z.png", "z"], "no such image: album/z.png, z"),
        (["album/e.png"], "no such image: album/e.png (a folder without images)"),
        (["album/.git/a.png/b", "x" * 300], f"no such image: album/.git/a.png/b, {'x' * 300}"),
        (["x\ny"], "no such image: x\N{REPLACEMENT CHARACTER}y"),
    ],
)
def test_what_is_not_there_is_told(album, mistake, given, line):
    assert mistake(pictures.find, given) == line
