# joulegate: one image for every command. Built by docker compose, or: docker build -t joulegate:local .
# Nothing is downloaded but what requirements/*.txt pin by hash. The health checks stand in docker-compose.yml.

FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# before the sources, so that a change to them does not install the dependencies again
COPY requirements/ requirements/
RUN python -m venv /opt/joulegate \
    && /opt/joulegate/bin/pip install --require-hashes --no-deps -r requirements/run.txt

# --build-arg EXTRAS=archive: pyarrow, for `joulegate archive` (170 MB)
ARG EXTRAS=
RUN if [ "$EXTRAS" = archive ]; then \
        awk '/^[a-z0-9]/ { keep = /^pyarrow==/ } keep' requirements/dev.txt >requirements/archive.txt \
        && /opt/joulegate/bin/pip install --require-hashes --no-deps -r requirements/archive.txt; \
    fi

# the build backend, from the development lock, outside of the environment that is shipped
RUN awk '/^[a-z0-9]/ { keep = /^(hatchling|packaging|pathspec|pluggy|trove-classifiers)==/ } keep' \
        requirements/dev.txt >requirements/build.txt \
    && pip install --require-hashes --no-deps -r requirements/build.txt

COPY . .
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/joulegate/bin/pip install --no-deps dist/joulegate-*.whl \
    && /opt/joulegate/bin/pip uninstall --yes pip


FROM python:3.13-slim
# installing has compiled everything; at run time the file system is read-only
ENV PATH=/opt/joulegate/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN groupadd --gid 10001 joulegate \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin joulegate
COPY --from=build /opt/joulegate /opt/joulegate
WORKDIR /
# by number, so that a platform can tell that it is not root
USER 10001:10001
ENTRYPOINT ["joulegate"]
CMD ["--help"]
