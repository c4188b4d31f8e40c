FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /source
COPY . .
# What was compiled for the last image is still there, but no part of this one.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --locked --release \
    && deploy/rootfs.sh target/release/mesibo-grpc /rootfs

# No shell, no package manager, nothing to write to.
FROM scratch
COPY --from=build /rootfs /
# As a number, so that Kubernetes can tell that it is not root.
USER 65532:65532
# In a container, this machine alone would be nobody at all. A facade that others can
# reach refuses to start without callers and TLS, see docs/security.md.
ENV MESIBO_GRPC_LISTEN=0.0.0.0:50051 \
    MESIBO_GRPC_HEALTH_LISTEN=0.0.0.0:50052 \
    MESIBO_GRPC_METRICS_LISTEN=0.0.0.0:9464
EXPOSE 50051 50052 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s \
    CMD ["/mesibo-grpc", "health", "--address", "http://127.0.0.1:50052"]
ENTRYPOINT ["/mesibo-grpc"]
CMD ["serve"]
