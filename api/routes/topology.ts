/** `GET /v1/topology`: the graph as text, as Mermaid and as data, with how many records went over each edge. */
import type { FastifyInstance } from "fastify";
import type { EdgeCount, TopologyView } from "../../runtime/queries.ts";
import type { MissingWorker } from "../errors.ts";
import { SCOPE } from "../parameters.ts";
import type { Services } from "../route.ts";

interface TopologyAnswer extends TopologyView {
  /** Whose counts the edges' sums hold: rates may be taken between two answers with the same workers. */
  readonly workers: readonly string[];
  readonly missing: readonly MissingWorker[];
}

export function topologyRoutes(app: FastifyInstance, { options, group }: Services): void {
  app.get<{ Querystring: { scope: "group" | "local" } }>(
    "/v1/topology",
    {
      schema: { querystring: { type: "object", additionalProperties: false, properties: { scope: SCOPE } } },
      config: {
        access: "monitor",
        operation: { tag: "operations", summary: "The topology; records per edge since the workers' starts, summed", answers: "Topology" },
      },
    },
    async (request): Promise<TopologyAnswer> => {
      const view = options.queries.topology();
      const { answers, missing } = await group.ask<TopologyAnswer>(request, request.query.scope, () =>
        Promise.resolve({ ...view, workers: [options.queries.worker().workerId], missing: [] }),
      );
      return { ...view, edges: sum(answers), workers: answers.flatMap((answer) => answer.workers).sort(), missing };
    },
  );
}

function sum(answers: readonly TopologyAnswer[]): EdgeCount[] {
  const sums = new Map<string, EdgeCount>();
  for (const { from, to, records } of answers.flatMap((answer) => answer.edges)) {
    const edge = JSON.stringify([from, to]);
    sums.set(edge, { from, to, records: records + (sums.get(edge)?.records ?? 0) });
  }
  return [...sums.values()];
}
