# Beam worker with CUDA (from pip, by the extra gpu); Dataflow installs the driver: deploy/dataflow/extract.sh, GPU=1.
#   docker build -f deploy/containers/worker-gpu.Dockerfile -t IMAGE .
FROM apache/beam_python3.11_sdk:2.77.0 AS beam

FROM python:3.11-slim
COPY --from=beam /opt/apache/beam /opt/apache/beam
COPY setup.py pyproject.toml README.md /src/
COPY beam_pipelines /src/beam_pipelines
COPY trainer /src/trainer
COPY configs /src/configs
COPY docs/responsible-use.md /src/docs/responsible-use.md
RUN pip install --no-cache-dir "/src[gcp,gpu]" && pip check
ENV CINEAFFECT_WEIGHTS=/opt/cineaffect/weights
RUN cineaffect weights fetch
# A driver is mounted here by Dataflow; several processes share one GPU, so none may take all its memory at once.
ENV LD_LIBRARY_PATH=/usr/local/nvidia/lib64 TF_FORCE_GPU_ALLOW_GROWTH=true
ENTRYPOINT ["/opt/apache/beam/boot"]
