/** `GET /metrics` in Prometheus' text format. */
import type { FastifyInstance } from "fastify";
import type { Services } from "../route.ts";

export function metricsRoutes(app: FastifyInstance, { options }: Services): void {
  app.get(
    "/metrics",
    { config: { access: "monitor", operation: { tag: "operations", summary: "Prometheus metrics", produces: "text/plain" } } },
    async (_request, reply) => reply.type(options.registry.contentType).send(await options.registry.metrics()),
  );
}
