# syntax=docker/dockerfile:1

FROM node:22-slim AS assets
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
COPY scripts/assets scripts/assets
RUN mkdir -p geosvc/static && scripts/assets

FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/geosvc
COPY requirements.lock ./
RUN /opt/geosvc/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
# hatchling builds the wheel; it is in the lock file of the development tools
COPY requirements-dev.lock ./
RUN python -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-dev.lock
COPY pyproject.toml README.md ./
COPY geosvc geosvc
COPY migrations migrations
COPY --from=assets /src/geosvc/static/vendor geosvc/static/vendor
RUN /opt/build/bin/python -m hatchling build -t wheel -d /opt/dist \
 && /opt/geosvc/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps /opt/dist/*.whl

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home geosvc
COPY --from=build /opt/geosvc /opt/geosvc
ENV PATH=/opt/geosvc/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    GEOSVC_HOST=0.0.0.0
USER geosvc
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8081/livez', timeout=2)"]
ENTRYPOINT ["geosvc"]
CMD ["serve"]
