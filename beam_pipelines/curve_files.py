"""What a scored film leaves in the directory of a run (contract 3), and how a later run finds it again.

    curves/<film_id>.csv     the curve
    plots/<film_id>.png      a picture of it
    curves/<film_id>.json    the receipt: written last and removed first, so that beside it there are only whole files
                             of one and the same scoring

Without CSV files there are no receipts beside them either; those in the Parquet parts stand for the films then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from beam_pipelines import storage
from beam_pipelines.curve_table import list_parts, part_uri, read_part, read_receipts, shard_of, write_part
from beam_pipelines.curves import AffectCurve, from_csv, to_csv
from beam_pipelines.score_receipt import ScoreReceipt, from_json, to_json

CURVES = "curves"
PLOTS = "plots"


@dataclass(frozen=True)
class CurveFiles:
    """The files of a run.

    Attributes:
        output: the directory of the run.
        csv: whether each film has a CSV file.
        plots: whether each film has a plot.
        shards: the number of Parquet parts.
        label_range: lowest and highest label, the range of a plot's axis.
    """

    output: str
    csv: bool
    plots: bool
    shards: int
    label_range: tuple[float, float]

    def csv_uri(self, film_id: str) -> str:
        """Where the CSV file of a film lies."""
        return storage.join(self.output, CURVES, f"{film_id}.csv")

    def receipt_uri(self, film_id: str) -> str:
        """Where the receipt of a film lies."""
        return storage.join(self.output, CURVES, f"{film_id}.json")

    def plot_uri(self, film_id: str) -> str:
        """Where the plot of a film lies."""
        return storage.join(self.output, PLOTS, f"{film_id}.png")

    def part_uri(self, shard: int) -> str:
        """Where a part of the table lies."""
        return part_uri(self.output, shard, self.shards)

    def shard_of(self, film_id: str) -> int:
        """The part that a film belongs to."""
        return shard_of(film_id, self.shards)

    def write_film(self, receipt: ScoreReceipt, curve: AffectCurve) -> None:
        """Writes the files of one film. Cut off anywhere, it leaves no receipt, and the film is scored again."""
        storage.remove(self.receipt_uri(curve.film_id))
        if self.csv:
            storage.write_text(self.csv_uri(curve.film_id), to_csv(curve))
        if self.plots:
            self._plot(curve)
        if self.csv:
            storage.write_text(self.receipt_uri(curve.film_id), to_json(receipt))

    def write_part(self, shard: int, receipts: list[ScoreReceipt], curves: dict[str, AffectCurve]) -> str:
        """Writes a part of the table, unless it holds exactly these films already; returns its address.

        Args:
            shard: which part.
            receipts: of all films that belong to it.
            curves: film id -> curve, as far as they are at hand; the others come from the films' CSV files or, where
                there are none, from the parts that an earlier run left.
        """
        uri = self.part_uri(shard)
        receipts = sorted(receipts, key=lambda receipt: receipt.film_id)
        if storage.stat(uri) is None or read_receipts(uri) != receipts:
            earlier = EarlierParts(self.output)
            write_part(uri, receipts, lambda receipt: self._curve(receipt, curves, earlier))
        return uri

    def remove_other_parts(self, uris: list[str]) -> None:
        """Removes parts that don't belong to this division of the table; only once all of its own are written."""
        for uri in sorted(set(list_parts(self.output)) - set(uris)):
            storage.remove(uri)

    def _plot(self, curve: AffectCurve) -> None:
        from beam_pipelines.report.plots import plot_curve

        plot_curve(
            self.plot_uri(curve.film_id),
            curve.film_id,
            np.arange(curve.seconds),
            curve.valence,
            curve.arousal,
            valence_raw=curve.valence_raw,
            arousal_raw=curve.arousal_raw,
            label_range=self.label_range,
        )

    def _curve(self, receipt: ScoreReceipt, curves: dict[str, AffectCurve], earlier: EarlierParts) -> AffectCurve:
        if receipt.film_id in curves:
            return curves[receipt.film_id]
        if self.csv:
            return from_csv(storage.read_text(self.csv_uri(receipt.film_id)), receipt.film_id)
        return earlier.curve(receipt)


@dataclass
class FinishedFilms:
    """Films whose files are whole, looked up one by one; what it has read of the table it remembers."""

    files: CurveFiles
    _earlier: EarlierParts = field(init=False)

    def __post_init__(self) -> None:
        self._earlier = EarlierParts(self.files.output)

    def find(self, film_id: str, score_key: str) -> ScoreReceipt | None:
        """The receipt of a film that was scored under this key and whose files are all there; otherwise None."""
        files = self.files
        if files.plots and storage.stat(files.plot_uri(film_id)) is None:
            return None
        if not files.csv:
            return self._earlier.receipt(film_id, score_key)
        try:
            receipt = from_json(storage.read_text(files.receipt_uri(film_id)))
        except FileNotFoundError:
            return None
        whole = receipt and receipt.score_key == score_key and storage.stat(files.csv_uri(film_id))
        return receipt if whole else None


class EarlierParts:
    """The parts that an earlier run left, read when they are needed: footers first, curves only of parts that count."""

    def __init__(self, output: str):
        self._output = output
        self._parts: dict[str, dict[str, AffectCurve]] = {}

    def receipt(self, film_id: str, score_key: str) -> ScoreReceipt | None:
        """The receipt of a film that some part holds under this key."""
        found = self._index.get((film_id, score_key))
        return found[0] if found else None

    def curve(self, receipt: ScoreReceipt) -> AffectCurve:
        """The curve of a film that some part holds under this receipt's key."""
        _, uri = self._index[receipt.film_id, receipt.score_key]
        if uri not in self._parts:
            self._parts[uri] = read_part(uri)
        return self._parts[uri][receipt.film_id]

    @cached_property
    def _index(self) -> dict[tuple[str, str], tuple[ScoreReceipt, str]]:
        return {
            (receipt.film_id, receipt.score_key): (receipt, uri)
            for uri in list_parts(self._output)
            for receipt in read_receipts(uri)
        }
