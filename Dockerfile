# Crew Bridge in a container: the runtime without compilers, pip or development tools, as an unprivileged user.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/crew-bridge
WORKDIR /src
COPY requirements-runtime.lock requirements-build.lock ./
RUN pip --python /opt/crew-bridge/bin/python install --no-deps --require-hashes -r requirements-runtime.lock \
    && pip install --no-deps --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY contracts contracts
COPY bridge bridge
RUN pip wheel --no-deps --no-build-isolation -w /wheels . \
    && pip --python /opt/crew-bridge/bin/python install --no-deps /wheels/*.whl \
    && pip --python /opt/crew-bridge/bin/python check

FROM python:3.13-slim
RUN groupadd --system --gid 10001 bridge \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin bridge
COPY --from=build /opt/crew-bridge /opt/crew-bridge
ENV PATH=/opt/crew-bridge/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BRIDGE_HOST=0.0.0.0
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["crew-bridge"]
CMD ["serve"]
