"""WriteTransform: takes the analysed tf.Transform graph; writes its two directories to the output folder.

tf.Transform's own WriteTransformFn writes through TensorFlow's file system, which has its own rules for credentials and
doesn't know STORAGE_EMULATOR_HOST. This one writes the same files through `storage`, to disk or `gs://`.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from tensorflow_transform import TFTransformOutput
from tensorflow_transform.tf_metadata import metadata_io

from beam_pipelines.foundation import storage


@dataclass
class WriteTransform(beam.PTransform):
    """From the result of `AnalyzeDataset` to a PCollection of the output folder, once the graph is written.

    Attributes:
        output: the folder for `transform_fn/` and `transformed_metadata/`.
    """

    output: str

    def _extract_input_pvalues(self, transform_fn: Any) -> Any:
        # The result is a tuple of a PCollection and an object that holds one; Beam itself finds only the first.
        graph, metadata = transform_fn
        return transform_fn, [graph, metadata.deferred_metadata]

    def expand(self, transform_fn: Any) -> Any:
        graph, metadata = transform_fn
        return graph | "Publish" >> beam.Map(
            _publish, beam.pvalue.AsSingleton(metadata.deferred_metadata), output=self.output
        )


def _publish(graph: str, metadata: Any, output: str) -> str:
    with tempfile.TemporaryDirectory(prefix="cineaffect-") as folder:
        shutil.copytree(graph, Path(folder) / TFTransformOutput.TRANSFORM_FN_DIR)
        metadata_io.write_metadata(metadata, str(Path(folder) / TFTransformOutput.TRANSFORMED_METADATA_DIR))
        storage.copy_tree(folder, output)
    return output
