# The otlpg daemon: pinned packages, checked by hash, in a virtual environment of their own.
ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /build
# The packages first: this layer changes only when the pins change.
COPY requirements/serve.txt requirements/build.txt requirements/
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes -r requirements/build.txt \
    && python -m venv --without-pip /opt/otlpg \
    && /opt/build/bin/pip --python /opt/otlpg/bin/python install --require-hashes --only-binary :all: \
        -r requirements/serve.txt
COPY pyproject.toml README.md LICENSE ./
COPY collector/ collector/
COPY migrations/ migrations/
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation -w /wheels . \
    && /opt/build/bin/pip --python /opt/otlpg/bin/python install --no-deps --no-index /wheels/*.whl

FROM python:${PYTHON_VERSION}-slim
COPY --from=build /opt/otlpg /opt/otlpg
# The listeners stay on loopback, as everywhere: an image that opened them by itself would break
# promise 9 on every machine with --network host. Inside a container loopback reaches nobody, so
# whoever runs it sets OTLPG_RECEIVE__GRPC_HOST, OTLPG_RECEIVE__HTTP_HOST and OTLPG_TELEMETRY__HOST
# to 0.0.0.0 and gives it a certificate and keys, or sets OTLPG_RECEIVE__INSECURE to true. README has
# the commands.
ENV PATH=/opt/otlpg/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 4317 4318 9095
STOPSIGNAL SIGTERM
# Asks on loopback, at the port of the setting; a port given as a flag it cannot know.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:%s/health/live' % (os.environ.get('OTLPG_TELEMETRY__PORT') or 9095), timeout=2)"]
ENTRYPOINT ["otlpg"]
CMD ["serve"]
