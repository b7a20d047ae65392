"""Class probabilities made as sure as they are right (temperature scaling, Guo et al. 2017)."""

import numpy as np

#: Validation images from which a temperature is fitted: on fewer it does harm as often as good.
ENOUGH = 60
_LEAST, _MOST = 0.05, 20.0
#: Added before a logarithm.
TINY = 1e-12


def temperature(probabilities: np.ndarray, labels: np.ndarray, at_least: int = ENOUGH) -> float:
    """The temperature that gives the labels the least log loss; 1 on too few images.

    Args:
        probabilities: float (n, K), rows sum to 1, of images that did not train the model.
        labels: int (n,), class indices.
        at_least: images that are not too few.
    """
    from scipy.optimize import minimize_scalar

    if len(labels) < at_least:
        return 1.0

    def loss(log_temperature: float) -> float:
        return float(losses(tempered(probabilities, float(np.exp(log_temperature))), labels).mean())

    found = minimize_scalar(loss, bounds=(np.log(_LEAST), np.log(_MOST)), method="bounded")
    return float(np.exp(found.x))


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (n, K) of the logits divided by the temperature; the order stays as it is."""
    if temperature == 1:
        return probabilities
    logits = np.log(probabilities.astype(np.float64) + TINY) / temperature
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (scores / scores.sum(axis=1, keepdims=True)).astype(probabilities.dtype)


def losses(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The log loss (n,) of each image."""
    loss: np.ndarray = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], TINY))
    return loss
