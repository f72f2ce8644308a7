"""The signatures of an exported model, independent of how its members compute their curves (see `export`).

film          one film                                    target -> float32 [T]
films         several films as rows, with row_splits      target -> float32 [R]
films_at      the same, at some rows only                 target -> float32 [members, N]
film_members  one film, for an ensemble                   target -> float32 [members, T]
films_explained  as films_at                              target -> float32 [1 + modalities, N]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from beam_pipelines.contracts.models.model_card import EXPLAINED_SIGNATURE
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation.errors import ConfigurationError
from trainer.network.presence import presence_key

Curves = Callable[..., tf.Tensor]
"""`ServingModule.curves`, as a method or traced."""


class ServingModule(tf.Module):
    """The mean of one or several members' curves behind an exported model's signatures; subclasses define the members.

    Args:
        members: the number of members.
        dimensions: modality -> values per second as extracted; the order is that of the signatures.
        slots: modality -> slots per second.
        label_range: lowest and highest label.
        weights: each member's share, which add up to 1; None for equal ones.
        targets: what the members predict, the columns of their curves.
    """

    def __init__(
        self,
        members: int,
        dimensions: Mapping[str, int],
        slots: Mapping[str, int],
        label_range: tuple[float, float],
        weights: Sequence[float] | None = None,
        targets: Sequence[str] = TARGETS,
    ):
        super().__init__()
        if not label_range[0] < label_range[1]:
            raise ConfigurationError(f"label_range must be (lowest, highest), it is {label_range}")
        self.members = members
        self.targets = tuple(targets)
        self._weights = None if weights is None else tuple(map(float, weights))
        self.modalities = tuple(dimensions)
        self.dimensions, self.slots = dict(dimensions), dict(slots)
        self.explains = True
        self.label_range = tuple(float(value) for value in label_range)

    def member_curves(
        self, features: Mapping[str, tf.Tensor], row_splits: tf.Tensor, rows: tf.Tensor
    ) -> list[tf.Tensor]:
        """Each member's curves at some rows, float32 [N, targets], in the labels' range.

        Args:
            features: the inputs of the signatures.
            row_splits: int64 [films + 1], checked.
            rows: int64 [N], checked; the rows to compute.
        """
        raise TypeError(f"{type(self).__name__} gives no members")

    def curves(self, row_splits: tf.Tensor, rows: tf.Tensor, **features: tf.Tensor) -> tf.Tensor:
        """What all signatures are made of: `member_curves` as one tensor, float32 [members, N, 2]."""
        return tf.stack(self.member_curves(features, row_splits, rows))

    def member_shares(
        self, features: Mapping[str, tf.Tensor], row_splits: tf.Tensor, rows: tf.Tensor
    ) -> list[tf.Tensor]:
        """Each member's curve as a base and the shares of all modalities, float32 [1 + modalities, N, targets].

        Arguments are those of `member_curves`; see `contracts.models.shapley`.
        """
        raise TypeError(f"{type(self).__name__} explains no members")

    def film(self, curves: Curves, **features: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts one film: modality -> float32 [T, D], `<modality>_present` -> float32 [T, slots]."""
        return self._mean(self._of_one_film(curves, features))

    def films(self, curves: Curves, row_splits: tf.Tensor, **features: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts several films as concatenated rows; film i has the rows [row_splits[i], row_splits[i + 1]).

        Inputs and outputs are those of `film`, for all rows; each film has the values that it has alone.
        """
        splits = self._checked(row_splits, features)
        return self._mean(curves(row_splits=splits, rows=tf.range(self._count(features)), **features))

    def film_members(self, curves: Curves, **features: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts one film by each member: target -> float32 [members, T], whose (weighted) mean `film` returns."""
        return self._by_target(self._of_one_film(curves, features))

    def films_at(
        self, curves: Curves, row_splits: tf.Tensor, rows: tf.Tensor, **features: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Predicts some rows of several films, int64 [N]: target -> float32 [members, N]; other inputs as for `films`.

        Each film has the values that it has alone. The windows of other rows are not computed.
        """
        splits, wanted = self._checked(row_splits, features), self._checked_rows(rows, features)
        return self._by_target(curves(row_splits=splits, rows=wanted, **features))

    def films_explained(self, row_splits: tf.Tensor, rows: tf.Tensor, **features: tf.Tensor) -> dict[str, tf.Tensor]:
        """What each modality adds to some rows: target -> float32 [1 + modalities, N]; inputs are those of `films_at`.

        The first is the base, the curve without any modality; all of them together are the curve.
        """
        splits, wanted = self._checked(row_splits, features), self._checked_rows(rows, features)
        # Shapley values are linear: those of a mean are the mean of its members'.
        return self._by_target(self._mean_of(self.member_shares(features, splits, wanted)))

    def feature_signature(self) -> dict[str, tf.TensorSpec]:
        """The features that all signatures take: name -> specification."""
        signature = {}
        for modality in self.modalities:
            for key, size in ((modality, self.dimensions[modality]), (presence_key(modality), self.slots[modality])):
                signature[key] = tf.TensorSpec((None, size), tf.float32, name=key)
        return signature

    def signatures(self) -> dict[str, str]:
        """The saved signatures: name -> inputs; an ensemble has one more."""
        several = {"film_members": "one film; each member's curves, [members, T]"} if self.members > 1 else {}
        shares = "as films_at; the base, then what each modality adds to the curve, [1 + modalities, N]"
        explained = {EXPLAINED_SIGNATURE: shares} if self.explains else {}
        return {
            "serving_default": "one film",
            "films": "several films as rows, with row_splits",
            "films_at": "several films, with row_splits, and the rows to predict; each member's values, [members, N]",
            **several,
            **explained,
        }

    def save(self, path: str) -> None:
        """Writes the SavedModel with its signatures to a local folder."""
        features = self.feature_signature()
        splits = {"row_splits": tf.TensorSpec((None,), tf.int64, name="row_splits")}
        rows = {"rows": tf.TensorSpec((None,), tf.int64, name="rows")}
        taken: dict[str, tuple[Callable[..., Any], dict[str, tf.TensorSpec]]] = {
            "serving_default": (self.film, features),
            "films": (self.films, {**splits, **features}),
            "films_at": (self.films_at, {**splits, **rows, **features}),
        }
        if self.members > 1:
            taken["film_members"] = (self.film_members, features)
        # Functions of this call alone: those that were attributes would be traced and saved a second time.
        # All call one graph of the members: tracing it takes most of an export, and loading it most of a start.
        curves = tf.function(self.curves, autograph=False).get_concrete_function(**splits, **rows, **features)
        signatures = {
            name: tf.function(partial(method, curves), autograph=False).get_concrete_function(**given)
            for name, (method, given) in taken.items()
        }
        if self.explains:
            explained = tf.function(self.films_explained, autograph=False)
            signatures[EXPLAINED_SIGNATURE] = explained.get_concrete_function(**splits, **rows, **features)
        tf.saved_model.save(self, path, signatures=signatures)

    def _count(self, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return tf.shape(features[self.modalities[0]], out_type=tf.int64)[0]

    def _of_one_film(self, curves: Curves, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        count = self._count(features)
        return curves(row_splits=tf.stack([tf.zeros((), tf.int64), count]), rows=tf.range(count), **features)

    def _checked(self, row_splits: tf.Tensor, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        rows = self._count(features)
        checks = [
            tf.debugging.assert_equal(row_splits[:1], tf.zeros((1,), tf.int64), "row_splits must begin with 0"),
            tf.debugging.assert_equal(row_splits[-1:], rows[None], "row_splits must end with the number of rows"),
            tf.debugging.assert_non_negative(row_splits[1:] - row_splits[:-1], "row_splits must not fall"),
        ]
        with tf.control_dependencies([check for check in checks if check is not None]):
            return tf.identity(row_splits)

    def _checked_rows(self, rows: tf.Tensor, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        count = self._count(features)
        checks = [
            tf.debugging.assert_non_negative(rows, "rows must not be negative"),
            tf.debugging.assert_less(rows, count, "rows must be below the number of rows"),
        ]
        with tf.control_dependencies([check for check in checks if check is not None]):
            return tf.identity(rows)

    def _mean(self, curves: tf.Tensor) -> dict[str, tf.Tensor]:
        mean = self._mean_of(tf.unstack(curves, self.members))
        return {target: mean[:, index] for index, target in enumerate(self.targets)}

    def _mean_of(self, members: Sequence[tf.Tensor]) -> tf.Tensor:
        if self._weights is None:
            return tf.add_n(members) / len(members)
        return tf.add_n([weight * member for weight, member in zip(self._weights, members, strict=True)])

    def _by_target(self, curves: tf.Tensor) -> dict[str, tf.Tensor]:
        return {target: curves[:, :, index] for index, target in enumerate(self.targets)}


def shares_of(curves: tf.Tensor, weights: np.ndarray) -> tf.Tensor:
    """The base and each modality's share from the curves of sets, float [S, N, targets] -> float32 [1 + M, N, targets].

    They are added curve by curve: the last bits of a matrix product depend on its number of rows.

    Args:
        curves: one for each set of `shapley.coalitions`.
        weights: from there.
    """
    each = tf.unstack(tf.cast(curves, tf.float64), weights.shape[1])
    rows = [[float(weight) * curve for weight, curve in zip(row, each, strict=True) if weight] for row in weights]
    return tf.cast(tf.stack([tf.add_n(row) for row in rows]), tf.float32)


def placed(shares: tf.Tensor, of: Sequence[str], among: Sequence[str]) -> tf.Tensor:
    """A member's base and shares, [1 + `of`, …], as [1 + `among`, …]; 0 for modalities that it doesn't take."""
    base, *own = tf.unstack(shares, 1 + len(of))
    by_modality = dict(zip(of, own, strict=True))
    return tf.stack([base, *(by_modality.get(modality, tf.zeros_like(base)) for modality in among)])
