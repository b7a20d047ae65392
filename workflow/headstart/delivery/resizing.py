"""Resizing of uint8 images without torch, to the bits of torch's antialiased kernels on a CPU."""

import numpy as np

_REACH = {"bilinear": 1.0, "bicubic": 2.0}
_MOST_BITS, _LIMIT = 22, 2**15  # of a weight, which is a 16-bit integer


def resize(pixels: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """An image uint8 (height, width, 3) at another size: columns first, then rows.

    Args:
        size: height and width.
        interpolation: nearest, bilinear or bicubic.
    """
    for axis in (1, 0):
        old, new = pixels.shape[axis], size[axis]
        if interpolation == "nearest":
            pixels = pixels.take(np.arange(new) * old // new, axis)
        elif old != new:
            pixels = _weighted(pixels, axis, *_weights(old, new, interpolation))
    return pixels


def _weighted(pixels: np.ndarray, axis: int, weights: np.ndarray, bits: int) -> np.ndarray:
    """Sums of pixels along an axis; whole numbers this small are exact as floats."""
    sums = np.tensordot(weights, pixels.astype(np.float64), (1, axis))
    rounded = np.floor((sums + 2.0 ** (bits - 1)) / 2.0**bits)
    return np.moveaxis(np.clip(rounded, 0, 255).astype(np.uint8), 0, axis)


def _weights(old: int, new: int, interpolation: str) -> tuple[np.ndarray, int]:
    """Weights of source pixels in resized ones, whole numbers (new, old), and their binary digits.

    A triangle (bilinear) or Keys' cubic with a = -0.5 (bicubic), stretched by the scale where that
    exceeds 1. As many digits are kept as the largest weight leaves (ATen's UpSampleKernel.cpp).
    """
    scale = old / new
    stretch = max(scale, 1.0)
    centre, reach = (np.arange(new)[:, None] + 0.5) * scale, _REACH[interpolation] * stretch
    at = np.arange(old)
    x = np.abs(at - centre + 0.5) / stretch
    if interpolation == "bilinear":
        weights = np.clip(1 - x, 0, None)
    else:
        near = (1.5 * x - 2.5) * x * x + 1
        far = ((-0.5 * x + 2.5) * x - 4) * x + 2
        weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    weights *= (at >= np.trunc(centre - reach + 0.5)) & (at < np.trunc(centre + reach + 0.5))
    weights /= weights.sum(1, keepdims=True)
    bits = 0
    while bits < _MOST_BITS and int(0.5 + weights.max() * 2 ** (bits + 1)) < _LIMIT:
        bits += 1
    return np.trunc(weights * 2**bits + np.copysign(0.5, weights)), bits
