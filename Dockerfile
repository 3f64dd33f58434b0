# One image for every process and for the command line; what runs is the container's command.
#   docker build .                 the runtime, without simulators
#   docker build --target dev .    with simulated processors, for docker-compose.yml's profile dev

FROM python:3.11-slim AS base
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin batchpay
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 BATCHPAY_LOG_FORMAT=json

FROM base AS build
# A package index other than PyPI, where one is used.
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
ENV UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_SYSTEM_CERTS=true
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore 'uv>=0.9,<1'
WORKDIR /app
# The dependencies change seldom: their layer is kept when only our code has changed.
COPY pyproject.toml uv.lock README.md ./
RUN uv sync --frozen --no-dev --no-cache --no-install-project
COPY schemas ./schemas
COPY services ./services
COPY shared ./shared
COPY workers ./workers
RUN uv sync --frozen --no-dev --no-cache --no-editable

# What runs in a container is looked after on a port that no other machine sees unless somebody publishes it.
FROM base AS watched
ENV BATCHPAY_METRICS_HOST=0.0.0.0 BATCHPAY_METRICS_PORT=9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9090/healthz', timeout=4)"]
WORKDIR /app
USER batchpay
CMD ["batchpay", "--help"]

# `python -m` looks here first, and here the simulators are not left out.
FROM watched AS dev
COPY --from=build /app ./

FROM watched AS runtime
COPY --from=build /app/.venv ./.venv
