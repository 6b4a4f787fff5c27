/** `GET /health/live` and `/health/ready`: asked by supervisors, without a token; no data, and no call that may wait. */
import type { FastifyInstance } from "fastify";
import type { Services } from "../route.ts";

export function healthRoutes(app: FastifyInstance, { options }: Services): void {
  app.get(
    "/health/live",
    { config: { public: true, operation: { tag: "operations", summary: "200 while the process answers", answers: "Health" } } },
    () => ({ status: "live", version: options.version }),
  );

  app.get(
    "/health/ready",
    {
      config: {
        public: true,
        operation: {
          tag: "operations",
          summary: "200 when every task of the worker runs, else 503 with its state",
          answers: "Health",
          problems: [503],
        },
      },
    },
    (_request, reply) => {
      const ready = options.ready();
      return reply.code(ready ? 200 : 503).send({ status: ready ? "ready" : "not-ready", state: options.queries.worker().state });
    },
  );
}
