"""VGGish's embedding in the form in which AudioSet and YouTube-8M publish it: whitened by PCA, in 8 bits."""

from __future__ import annotations

import numpy as np

from beam_pipelines.contracts.records.quantisation import quantise
from beam_pipelines.extractors.weights import weight_files
from beam_pipelines.extractors.weights.network_weights import check_shape, read_npz
from beam_pipelines.extractors.weights.weights_table import VGGISH_PCA
from beam_pipelines.foundation.errors import WeightsError

DIMENSIONS = 128


class VGGishPostprocessor:
    """Applies the published PCA parameters.

    Args:
        weights: a name in `weights_table.TABLE`.

    Raises:
        WeightsError: if the parameters are absent or not the published ones.
    """

    def __init__(self, weights: str = VGGISH_PCA):
        path = weight_files.locate(weights)
        arrays = read_npz(path)
        for key, shape in (("pca_eigen_vectors", (DIMENSIONS, DIMENSIONS)), ("pca_means", (DIMENSIONS,))):
            if key not in arrays:
                raise WeightsError(f"{path}: '{key}' is absent")
            check_shape(path, key, arrays[key].shape, shape)
        self._eigenvectors = np.asarray(arrays["pca_eigen_vectors"], np.float64)
        self._means = np.asarray(arrays["pca_means"], np.float64)

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        """Whitens and quantises, float32 [n, 128] -> uint8 [n, 128]: v = E (e - mean) in [-2, 2], (v + 2) * 255 / 4."""
        return quantise(self.whiten(embeddings))

    def whiten(self, embeddings: np.ndarray) -> np.ndarray:
        """Whitens without clipping or quantising, float32 [n, 128] -> float64 [n, 128]: E (e - mean)."""
        return (np.asarray(embeddings, np.float64) - self._means) @ self._eigenvectors.T
