"""From a source to pixels: sources, manifest, split, cache."""
