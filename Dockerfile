# The server of clearair: a web page and an HTTP API.
#
#     docker build -t clearair-server .
#     docker run --rm -p 127.0.0.1:8000:8000 -e CLEARAIR_API_KEY=... --read-only --tmpfs /tmp clearair-server
#
# With --build-arg EXTRAS=serve,torch it computes on NVIDIA GPUs, too: PyTorch for Linux brings CUDA with it.
# Then give `docker run` the option `--gpus all`.

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG EXTRAS=serve
WORKDIR /source
RUN python -m venv --without-pip /opt/clearair
COPY . .
# pip of the image itself installs into the environment, which then needs no pip of its own.
RUN pip --python /opt/clearair/bin/python install --no-cache-dir -c constraints.txt ".[${EXTRAS}]"

FROM python:${PYTHON}-slim
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
