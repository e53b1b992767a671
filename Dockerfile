# syntax=docker/dockerfile:1
# The gateway: a binary, the certificates that it trusts, and a folder for what it keeps.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# What .dockerignore lets through: what the binary is made of.
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/tollgate /tollgate

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /var/lib/tollgate --shell /usr/sbin/nologin tollgate \
    && install --directory --owner=tollgate --group=tollgate --mode=0700 /var/lib/tollgate
COPY --from=build /tollgate /usr/local/bin/tollgate

# The trail, the key of the credentials' hashes and the admin token: back it up as one.
VOLUME /var/lib/tollgate
WORKDIR /var/lib/tollgate
USER tollgate

# In a container the loopback interface is nobody's: whom to let in is said where ports are published.
ENV TOLLGATE_LISTEN__PROXY=0.0.0.0:8080 \
    TOLLGATE_LISTEN__ADMIN=0.0.0.0:8081 \
    TOLLGATE_AUDIT__DATABASE=sqlite:///var/lib/tollgate/tollgate.db \
    TOLLGATE_IDENTITY__KEY_FILE=/var/lib/tollgate/tollgate.key
EXPOSE 8080 8081

# Ready is: the trail can be written. The image has no curl, and needs none.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["tollgate", "healthcheck"]

ENTRYPOINT ["tollgate"]
CMD ["serve"]
