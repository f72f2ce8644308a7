"""Every file of weights that the networks load: its name, address, hash, licence and training data, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

UNTRAINED = "untrained"
VGGISH_PCA = "vggish_pca"
"""Used instead of a name of the table: seeded random weights, for demos and tests."""

_KERAS_APPLICATIONS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_AUDIOSET = "https://storage.googleapis.com/audioset/"


@dataclass(frozen=True)
class Weights:
    """One published file of weights.

    Attributes:
        name: the name that configurations use.
        file_name: its name in the cache directory.
        url: its address; None if it is published nowhere, so that users must copy it into the cache.
        md5, sha256: the published hash, hexadecimal; one of the two.
        licence: the terms under which it may be used.
        trained_on: the data that the network has seen.
        used_by: the extractor that loads it.
    """

    name: str
    file_name: str
    url: str | None
    licence: str
    trained_on: str
    used_by: str
    md5: str = ""
    sha256: str = ""

    @property
    def published_hash(self) -> tuple[str, str]:
        """The algorithm and the hexadecimal digest, the stronger one if there are two."""
        return ("sha256", self.sha256) if self.sha256 else ("md5", self.md5)


_ENTRIES = (
    Weights(
        name="inception_v3_imagenet",
        file_name="inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        url=_KERAS_APPLICATIONS + "inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        md5="bcbd6486424b2319ff4ef7d526e38f63",
        licence="Apache-2.0 (Keras Applications)",
        trained_on="ImageNet (ILSVRC-2012)",
        used_by="image: InceptionV3Image",
    ),
    Weights(
        name="vgg16_imagenet",
        file_name="vgg16_weights_tf_dim_ordering_tf_kernels.h5",
        url=_KERAS_APPLICATIONS + "vgg16/vgg16_weights_tf_dim_ordering_tf_kernels.h5",
        md5="64373286793e3c8b2b4e3219cbf3544b",
        licence="CC BY 4.0 (Visual Geometry Group, Oxford)",
        trained_on="ImageNet (ILSVRC-2014)",
        used_by="vgg16: VGG16Image, the image baseline of the paper",
    ),
    Weights(
        name="vggish_audioset",
        file_name="vggish_model.ckpt",
        url=_AUDIOSET + "vggish_model.ckpt",
        sha256="0962b1914e3e053922d957c45bc84a78c985765641dc6bceeeb3a7d8dfecfdf6",
        licence="Apache-2.0 (TensorFlow Models)",
        trained_on="YouTube-8M (preliminary version)",
        used_by="audio: VGGishAudio",
    ),
    Weights(
        name=VGGISH_PCA,
        file_name="vggish_pca_params.npz",
        url=_AUDIOSET + "vggish_pca_params.npz",
        sha256="4d878af3e306defbfb37095365aa7e5a6cecb86bad13e859e626151c4e6a8b9d",
        licence="Apache-2.0 (TensorFlow Models)",
        trained_on="YouTube-8M (preliminary version)",
        used_by="audio, quantised form: VGGishPostprocessor",
    ),
    Weights(
        name="facenet_vggface2",
        file_name="20180402-114759-weights.h5",
        url="https://github.com/faustomorales/keras-facenet/releases/download/v0.3.1/20180402-114759-weights.h5",
        sha256="8b71e7045497e841c00ee568f031d1a4d30908fceadf6884aef2dec4d545202b",
        licence="MIT code (davidsandberg/facenet, keras-facenet); its training data are for research use",
        trained_on="VGGFace2",
        used_by="face: InceptionResnetV1Face",
    ),
    Weights(
        name="facenet_vggface2_folded",
        file_name="inception_resnet_v1_20180402_folded.npz",
        url=None,
        sha256="79f2a40d54e097b397d9e455240b6c71045600a447c5b0616c39d8769388aeb8",
        licence="as facenet_vggface2, of which it is the folded form",
        trained_on="VGGFace2",
        used_by="face: InceptionResnetV1Face",
    ),
)

TABLE: Mapping[str, Weights] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""Every file of weights, by name."""
