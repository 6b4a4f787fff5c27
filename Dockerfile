# Sluice in one image; the command decides whether it is an ingress or a worker. Not built where it was written: no Docker engine.
FROM node:24-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
# The image's own Node is the right one: the `node` package is not needed, and no other package needs its install script.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-slim
# All but the first and the flags below: scripts/bootstrap-lib.mjs.
ENV NODE_ENV=production MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=1048576 MALLOC_TRIM_THRESHOLD_=33554432 NODE_COMPILE_CACHE=/app/.compiled
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY package.json LICENSE NOTICE ./
COPY topology ./topology
COPY state ./state
COPY eventlog ./eventlog
COPY runtime ./runtime
COPY processors ./processors
COPY bridge ./bridge
COPY api ./api
COPY cli ./cli
COPY examples ./examples
RUN mkdir -p /var/lib/sluice /app/.compiled && chown node:node /var/lib/sluice /app/.compiled
USER node
VOLUME /var/lib/sluice
# Fills the compile cache, with the flags of the real start: it goes by them.
RUN ["node", "--max-semi-space-size=8", "--no-allocation-site-pretenuring", "--disable-warning=TimeoutNegativeWarning", "cli/main.ts", "--help"]
EXPOSE 8080 8081
# Node as process 1 gets SIGTERM and stops cleanly: commit, checkpoint, leave the group.
ENTRYPOINT ["node", "--max-semi-space-size=8", "--no-allocation-site-pretenuring", "--disable-warning=TimeoutNegativeWarning", "cli/main.ts"]
CMD ["--help"]
