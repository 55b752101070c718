# syntax=docker/dockerfile:1
# Two stages: wheels are built and installed in the first; the second has Python, the environment and nothing else.
FROM python:3.12.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
# The history that tells the version is not in the build's context.
ARG VERSION=0.1.0
ENV SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MLHEALTH=$VERSION
WORKDIR /source
RUN python -m venv /opt/mlhealth
COPY pyproject.toml LICENSE README.md ./
COPY detectors ./detectors
COPY alerts ./alerts
COPY dashboards ./dashboards
COPY mlhealth ./mlhealth
RUN /opt/mlhealth/bin/pip install ".[service,postgres]" \
    && /opt/mlhealth/bin/pip uninstall --yes pip

FROM python:3.12.11-slim-bookworm
LABEL org.opencontainers.image.title="mlhealth" \
      org.opencontainers.image.description="Label-free health monitoring for deployed models" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 mlhealth \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/mlhealth --shell /usr/sbin/nologin mlhealth \
    && install -d -o mlhealth -g mlhealth /var/lib/mlhealth /run/mlhealth-tokens
COPY --from=build /opt/mlhealth /opt/mlhealth
ENV PATH=/opt/mlhealth/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1
USER 10001:10001
WORKDIR /var/lib/mlhealth
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/readyz', timeout=4)"]
ENTRYPOINT ["mlhealth"]
CMD ["serve", "--config", "/etc/mlhealth/mlhealth.yaml"]
