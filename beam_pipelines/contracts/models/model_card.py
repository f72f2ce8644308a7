"""The card of an exported model: what callers need to know of it before they load it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from beam_pipelines.contracts.curves.bands import LEVELS, Calibration, films_needed
from beam_pipelines.contracts.curves.shares import WITHIN, Explain
from beam_pipelines.contracts.curves.smoothing import SmoothingConfig
from beam_pipelines.contracts.models.seen_features import SeenFeatures
from beam_pipelines.contracts.records.feature_changes import note_on_model
from beam_pipelines.contracts.records.feature_track import differences
from beam_pipelines.contracts.records.records import fingerprint, is_untrained
from beam_pipelines.contracts.targets import TARGETS
from beam_pipelines.foundation.configuration import Section
from beam_pipelines.foundation.errors import ConfigurationError

CARD = "model_card.json"
SAVED_MODEL = "saved_model.pb"
RESPONSIBLE_USE = "docs/responsible-use.md"
"""The page that every card names under `responsible_use`: whose feelings these are, what the curves are not for."""
FILMS_SIGNATURE = "films"
"""The signature for several films as concatenated rows: it predicts every second of each."""

SECONDS_SIGNATURE = "films_at"
"""The signature that predicts only some seconds of several films, and returns each member's values."""

MEMBERS_SIGNATURE = "film_members"
"""The signature that only an ensemble has: each member's curves of one film."""

EXPLAINED_SIGNATURE = "films_explained"
"""The signature that returns what each modality adds to the curve at some seconds of several films (`shapley`)."""

_COLUMN = re.compile(r"[\w.-]+", re.ASCII)


class ModelCard(Section):
    """The parts of a model's card that callers need; other keys of the file (metrics, configuration, …) are ignored.

    Attributes:
        version: the name of its directory.
        modalities: the features that it takes.
        fingerprints: modality -> fingerprint of the features that it was trained on.
        descriptions: modality -> how those features were made.
        dimensions: modality -> values per second.
        smoothing: the settings chosen on the validation films.
        label_range: lowest and highest label.
        signatures: name -> inputs, if the card gives them.
        targets: what it predicts: valence, arousal or both.
        takes_stride: whether it gives the same values for single seconds as for whole films.
        members: for an ensemble that `cineaffect ensemble` made, where each member lay, and its weight.
        label_lag_s: how many seconds earlier its labels were put than viewers gave them.
        trained: whether it was trained on labels. A formula wasn't.
        own_range: whether every film has a range of its own, so that levels of two films can't be compared, and only
            correlations with labels mean something.
        about: what people who look at its curves must know; may be empty.
        data: the films that it knows (`learned_films`), and digests.
        explained: how its curves are explained, and what to keep in mind; empty for earlier exports.
        back_s, ahead_s: how many seconds before and after a second its prediction depends on, before smoothing; None
            for all of the film, or if an earlier export doesn't say.
        calibration: its bands; None if it isn't calibrated.
        seen: modality -> what the features of its training films were like; empty in cards of formulas and earlier
            exports, which have no warnings about unlike films.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: str
    modalities: tuple[str, ...] = Field(min_length=1)
    fingerprints: dict[str, str]
    descriptions: dict[str, dict[str, Any]] = Field(default_factory=dict)
    dimensions: dict[str, int]
    smoothing: SmoothingConfig
    label_range: tuple[float, float]
    signatures: dict[str, str] = Field(default_factory=dict)
    targets: tuple[str, ...] = TARGETS
    takes_stride: bool = True
    members: tuple[dict[str, Any], ...] = ()
    label_lag_s: int = 0
    trained: bool = True
    own_range: bool = False
    about: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    explained: str = ""
    back_s: int | None = None
    ahead_s: int | None = None
    calibration: Calibration | None = None
    seen: dict[str, SeenFeatures] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _say_what_earlier_exports_left_out(cls, values: Any) -> Any:
        if isinstance(values, dict) and "takes_stride" not in values:
            # Their cards hold the trainer's configuration of each network only.
            models = [model for model in values.get("models") or () if isinstance(model, dict)]
            normalised = [model for model in models if model.get("batch_normalization")]
            takes_stride = all(model.get("batch_statistics_at_inference") != "film" for model in normalised)
            values = {**values, "takes_stride": takes_stride}
        if isinstance(values, dict) and "back_s" not in values and values["takes_stride"]:
            # All of them looked back only.
            length = values.get("sequence_length_s")
            values = {**values, "back_s": None if length is None else length - 1, "ahead_s": 0}
        return values

    @field_validator("targets")
    @classmethod
    def _known_targets(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        # In the order of all files, whatever the card's.
        known = tuple(target for target in TARGETS if target in targets)
        if len(known) != len(targets) or not known:
            raise ValueError(f"targets are {' and '.join(TARGETS)}, or one of them; not {list(targets)}")
        return known

    @model_validator(mode="after")
    def _speaks_of_its_own(self) -> Self:
        bands = self.calibration.half_widths if self.calibration else {}
        if bands and (lacking := [target for target in self.targets if target not in bands]):
            raise ValueError(
                f"calibration.half_widths: says nothing of {' and '.join(lacking)}; calibrate the model again"
            )
        if unknown := sorted(set(self.seen) - set(self.modalities)):
            raise ValueError(f"seen: speaks of {', '.join(unknown)}, which the model doesn't take; train it again")
        return self

    @property
    def is_ensemble(self) -> bool:
        """Whether the model is the mean of several, and can return each member's curves."""
        return MEMBERS_SIGNATURE in self.signatures and SECONDS_SIGNATURE in self.signatures

    @property
    def weights(self) -> tuple[float, ...] | None:
        """Each member's share of an ensemble's curves; None if all have the same."""
        weights = tuple(float(member.get("weight", 1.0)) for member in self.members)
        return weights if len(set(weights)) > 1 else None

    def half_widths(self, smoothing: SmoothingConfig, stride_s: int = 1) -> dict[str, dict[int, float]]:
        """Target -> level in percent -> half the width of its band; empty if nothing is promised.

        The bands were measured around the curve of every second, smoothed by the card's own filter. Around another
        curve they promise nothing.
        """
        if self.calibration is None or smoothing != self.smoothing or stride_s != 1:
            return {}
        return {target: self.calibration.half_widths.get(target, {}) for target in self.targets}

    def without_bands(self, smoothing: SmoothingConfig, stride_s: int = 1) -> str:
        """Why curves get no bands, as a sentence; empty if they get all, or if no labels made the model."""
        if not self.trained:
            return ""
        if self.calibration is None:
            return "no bands around the curves: the model isn't calibrated (cineaffect calibrate)"
        if not self.half_widths(smoothing, stride_s):
            return "no bands around the curves: they hold only with the model's own filter and stride 1"
        found = self.calibration.half_widths.get(self.targets[0], {})
        lacking = [f"the {level} % band needs {films_needed(level)} films" for level in LEVELS if level not in found]
        return f"{', '.join(lacking)}; this model was calibrated on {len(self.calibration.films)}" if lacking else ""

    def assert_takes_stride(self, stride_s: int) -> None:
        """Refuses a stride if the model can't predict single seconds, or would give other values for them.

        Raises:
            ConfigurationError: if the model doesn't take this stride.
        """
        if stride_s > 1 and SECONDS_SIGNATURE not in self.signatures:
            raise ConfigurationError(
                f"score.stride_s: is {stride_s}, but model {self.version} has no signature '{SECONDS_SIGNATURE}' and "
                "predicts every second; export it again, or leave the stride at 1"
            )
        if stride_s > 1 and not self.takes_stride:
            raise ConfigurationError(
                f"score.stride_s: is {stride_s}, but model {self.version} normalises by the statistics of all seconds "
                "of a film (batch_statistics_at_inference: film), and would give other values for single seconds; "
                "leave the stride at 1"
            )

    @property
    def explains(self) -> bool:
        """Whether it can explain its curves; earlier exports can't."""
        return EXPLAINED_SIGNATURE in self.signatures

    def parts(self, explain: Explain) -> tuple[str, ...]:
        """What its curves are explained by: its modalities; for `columns` also those that their descriptions name."""
        if explain == "nothing":
            return ()
        if explain == "modalities":
            return self.modalities
        return (*self.modalities, *(f"{m}{WITHIN}{name}" for m in self.modalities for name in self._columns(m)))

    def _columns(self, modality: str) -> Sequence[str]:
        """The names of a modality's values, by its description; empty unless each value has its own, fit for a file."""
        names = self.descriptions.get(modality, {}).get("columns")
        if not isinstance(names, (list, tuple)) or len(names) != self.dimensions.get(modality):
            return ()
        fit = {name for name in names if isinstance(name, str) and _COLUMN.fullmatch(name)}
        return names if len(fit) == len(names) else ()

    def assert_explains(self, explain: Explain) -> None:
        """Refuses to explain curves if the model can't.

        Raises:
            ConfigurationError: if the export lacks the signature.
        """
        if explain != "nothing" and not self.explains:
            raise ConfigurationError(
                f"score.explain: is {explain}, but model {self.version} has no signature '{EXPLAINED_SIGNATURE}': it, "
                "or a member of it, was exported before curves could be explained; train it again into a new directory "
                "(the same input gives the same weights), or leave out --explain"
            )

    def refuse_descriptions(self, descriptions: Mapping[str, Mapping[str, Any]]) -> None:
        """Refuses an extract section that makes other features than the model was trained on.

        Args:
            descriptions: modality -> description of the section's features.

        Raises:
            ConfigurationError: if the fingerprint of a modality differs; the text names both, and the keys that differ.
        """
        for modality, description in descriptions.items():
            found, expected = fingerprint(description), self.fingerprints[modality]
            if found != expected:
                note = note_on_model(self.descriptions)
                shown = differences(description, self.descriptions.get(modality, description))
                raise ConfigurationError(
                    f"extract.{modality}: makes features with the fingerprint {found}, model {self.version} was "
                    f"trained on {expected}{f' ({shown})' if shown else ''}; "
                    f"{note or 'use the extract section that its training films were extracted with'}"
                )

    def untrained(self) -> list[str]:
        """The modalities whose features come from a network with random weights (demo and tests only)."""
        return sorted(m for m, description in self.descriptions.items() if is_untrained(description))
