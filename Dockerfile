# One binary in a small image that runs as nobody in particular, on a read-only root.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY templates templates
# The caches stay with the builder, so that a change of ours does not compile the dependencies again.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin dropgate \
    && install -D -s target/release/dropgate /out/usr/local/bin/dropgate \
    && install -d -o 10001 -g 10001 -m 700 /out/data

FROM debian:bookworm-slim
# `dropgate apply` and `keys export` call installations over https.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/ /
USER 10001:10001
# Beyond loopback `serve` wants to be told DROPGATE_SERVER_PUBLIC_URL, and says so.
ENV DROPGATE_SERVER_LISTEN=0.0.0.0:8080 \
    DROPGATE_STORE_URL=file:/data
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["dropgate"]
CMD ["serve"]
