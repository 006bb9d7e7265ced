# The server of clearair: a web page and an HTTP API.
#
#     docker build -t clearair-server .
#     docker run --rm -p 127.0.0.1:8000:8000 -e CLEARAIR_API_KEY=... --read-only --tmpfs /tmp clearair-server
#
# With --build-arg EXTRAS=serve,torch it computes on NVIDIA GPUs, too: PyTorch for Linux brings CUDA with it.
# Then give `docker run` the option `--gpus all`.

# Everything that serves is locked with hashes in requirements/; the extras that EXTRAS adds are pinned by version.
# A tag can be moved, so pin the base by its digest where that matters: --build-arg BASE=python:3.11-slim-trixie@sha256:...

ARG BASE=python:3.11-slim-trixie

FROM ${BASE} AS build
ARG EXTRAS=serve
WORKDIR /source
# Wheels are built without isolation, as isolated builds would fetch what they need by themselves, unlocked.
COPY requirements requirements
RUN pip install --no-cache-dir --require-hashes -r requirements/build.txt && \
    pip wheel --no-cache-dir --no-build-isolation --require-hashes -r requirements/serve.txt -w /wheels
COPY . .
RUN pip wheel --no-cache-dir --no-build-isolation --no-deps --no-index -w /wheels .
# pip of the image itself installs into the environment, which then needs no pip of its own. "$1" is the one wheel.
# hadolint ignore=DL3013
RUN set -- /wheels/clearair-*.whl && python -m venv --without-pip /opt/clearair && \
    pip --python /opt/clearair/bin/python install --no-cache-dir --no-index --find-links /wheels "$1[serve]" && \
    if [ "${EXTRAS}" != serve ]; then \
        pip --python /opt/clearair/bin/python install --no-cache-dir -c constraints.txt "$1[${EXTRAS}]"; \
    fi

FROM ${BASE}
COPY --from=build /opt/clearair /opt/clearair
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin clearair
USER 10001:10001
ENV PATH=/opt/clearair/bin:$PATH \
    PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD \
    ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
# Other machines can connect, so the server refuses to start without CLEARAIR_API_KEY.
ENTRYPOINT ["clearair", "serve", "--host", "0.0.0.0"]
