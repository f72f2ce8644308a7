# Beam worker on processors alone, for Dataflow and for Flink's DOCKER environment:
#   docker build -f deploy/containers/worker.Dockerfile -t IMAGE .
# The machine that starts the job needs Python 3.11 too: Beam sends code of that version.
FROM apache/beam_python3.11_sdk:2.77.0 AS beam

FROM python:3.11-slim
COPY --from=beam /opt/apache/beam /opt/apache/beam
COPY setup.py pyproject.toml README.md /src/
COPY beam_pipelines /src/beam_pipelines
COPY trainer /src/trainer
COPY configs /src/configs
COPY docs/responsible-use.md /src/docs/responsible-use.md
RUN pip install --no-cache-dir "/src[gcp]" && pip check
# The image holds the weights, so that no worker downloads any; each file is compared with its published hash.
ENV CINEAFFECT_WEIGHTS=/opt/cineaffect/weights
RUN cineaffect weights fetch
ENTRYPOINT ["/opt/apache/beam/boot"]
