# Auriga's image: the static binaries that `make build` has put into bin/.
# hack/image.sh builds it; any builder does.
ARG BASE_IMAGE=scratch
FROM ${BASE_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="auriga" \
      org.opencontainers.image.description="A Kubernetes scheduler for CI/CD, batch and GPU work" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --chmod=0755 bin/auriga-scheduler bin/auriga-controller bin/auriga /usr/local/bin/
# By number, so that the kubelet can check runAsNonRoot.
USER 65532:65532
# The scheduler's HTTPS port (/metrics, /livez, /readyz), the controller's
# (/metrics) and its HTTP port (/livez, /readyz).
EXPOSE 10259 10260 10261
ENTRYPOINT ["/usr/local/bin/auriga-scheduler"]
