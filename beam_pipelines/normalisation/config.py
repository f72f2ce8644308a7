"""The `prepare` section of a configuration."""

from __future__ import annotations

from pydantic import Field

from beam_pipelines.foundation.configuration import Section


class PrepareConfig(Section):
    """How features are normalised before the network sees them.

    Attributes:
        splits: the manifest's splits whose films the statistics cover.
        pca_components: modality -> number of principal components per slot. A modality that isn't named keeps all its
            dimensions (the paper doesn't say that it reduced them; ours).
        pca_whiten: whether components are scaled to unit variance (YouTube-8M's form).
        clip: the largest z-score, of either sign; larger ones are cut (ours). A feature that is active in a single
            second of a day would else arrive at some 300 deviations. It holds for every dimension before components are
            taken, and again for whitened components. None cuts nothing.
        rows_per_batch: seconds that tf.Transform gets at a time.
        failure_threshold: share of films without a usable record above which the run as a whole fails.
    """

    splits: tuple[str, ...] = ("train",)
    pca_components: dict[str, int] = Field(default_factory=dict)
    pca_whiten: bool = True
    clip: float | None = Field(8.0, gt=0.0, allow_inf_nan=False)
    rows_per_batch: int = Field(512, ge=1)
    failure_threshold: float = Field(0.0, ge=0.0, le=1.0)
