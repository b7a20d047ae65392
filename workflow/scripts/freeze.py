"""Write down who is in train, val and test in every split, and what the data have to say."""

from dataclasses import dataclass
from pathlib import Path

from headstart import logs, paths
from headstart.data import manifest, splits


@dataclass(frozen=True)
class Files:
    train_val: tuple[Path, ...]
    test: tuple[Path, ...]
    split_notes: tuple[Path, ...]
    source_notes: Path
    manifest: Path
    split: Path
    notes: Path


def main(files: Files) -> None:
    images = manifest.read(files.manifest)
    numbers = [int(path.parent.name) for path in files.test]
    pairs = zip(files.train_val, files.test, strict=True)
    table = splits.frozen(images, dict(zip(numbers, pairs, strict=True)))
    table.to_csv(files.split, index=False)
    lines = [*files.source_notes.read_text().splitlines(), *manifest.summary(images)]
    for number, path in zip(numbers, files.split_notes, strict=True):
        said = path.read_text().splitlines()
        if len(numbers) > 1:
            said = [f"split {number}: {line.removeprefix('split: ')}" for line in said]
        lines += said
    files.notes.write_text("".join(f"{line}\n" for line in lines))


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(paths.named(Files, snakemake.input, snakemake.output))
