/** `GET /v1/tasks`: every worker's tasks with positions, lag, stores and restore progress. */
import type { FastifyInstance } from "fastify";
import type { WorkerInfo } from "../../runtime/queries.ts";
import type { MissingWorker } from "../errors.ts";
import { SCOPE } from "../parameters.ts";
import type { Services } from "../route.ts";

interface TasksAnswer {
  readonly workers: readonly WorkerInfo[];
  readonly missing: readonly MissingWorker[];
}

export function taskRoutes(app: FastifyInstance, { options, group }: Services): void {
  app.get<{ Querystring: { scope: "group" | "local" } }>(
    "/v1/tasks",
    {
      schema: { querystring: { type: "object", additionalProperties: false, properties: { scope: SCOPE } } },
      config: {
        access: "monitor",
        operation: { tag: "operations", summary: "Workers with their tasks; the one that was asked first", answers: "Tasks" },
      },
    },
    async (request): Promise<TasksAnswer> => {
      const { answers, missing } = await group.ask<TasksAnswer>(request, request.query.scope, () =>
        Promise.resolve({ workers: [options.queries.worker()], missing: [] }),
      );
      return { workers: answers.flatMap((answer) => answer.workers), missing };
    },
  );
}
