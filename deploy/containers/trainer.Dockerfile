# docker build -f deploy/containers/trainer.Dockerfile -t cineaffect-trainer .   (GPU: --build-arg EXTRA=[gpu])
FROM python:3.11-slim
ARG EXTRA=
COPY setup.py pyproject.toml README.md /src/
COPY beam_pipelines /src/beam_pipelines
COPY trainer /src/trainer
COPY configs /src/configs
COPY docs/responsible-use.md /src/docs/responsible-use.md
RUN pip install --no-cache-dir "/src${EXTRA}"
ENTRYPOINT ["cineaffect"]
