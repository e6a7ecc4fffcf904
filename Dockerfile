# syntax=docker/dockerfile:1

# npm knows the registry of the packages that scripts/assets fetches
FROM node:22-slim AS registry
WORKDIR /src
COPY package.json .npmrc ./
RUN npm config get registry >/registry

FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/geosvc
COPY requirements.lock ./
RUN /opt/geosvc/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY requirements-build.lock ./
RUN python -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-build.lock
COPY package.json package-lock.json .npmrc ./
COPY scripts/assets scripts/assets
COPY --from=registry /registry /registry
RUN npm_config_registry=$(cat /registry) scripts/assets
COPY pyproject.toml README.md LICENSE ./
COPY geosvc geosvc
COPY migrations migrations
COPY fixtures fixtures
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
