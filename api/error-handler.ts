/** Every error leaves as a problem document; what is our own fault is logged once, here, and not told in detail. */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { Counter } from "prom-client";
import { StateUnavailableError } from "../runtime/queries.ts";
import { ApiError, PROBLEMS } from "./errors.ts";
import type { ApiOptions } from "./options.ts";

/** Statuses of callers without the right: counted, so that trying doors shows. */
const REFUSALS = new Set([401, 403]);

export function setErrorHandlers(app: FastifyInstance, { logger, registry }: Pick<ApiOptions, "logger" | "registry">): void {
  const refused = new Counter({
    name: "sluice_http_refused_total",
    help: "Requests without the right: unauthorized (no or a wrong token), forbidden (one that does not open this), host-not-allowed",
    labelNames: ["reason"],
    registers: [registry],
  });
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, new ApiError("route-unknown", `${request.method} ${pathOf(request)} is not a route`)),
  );
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = toApiError(error);
    if (REFUSALS.has(PROBLEMS[problem.code].status)) refused.inc({ reason: problem.code });
    if (problem.code === "internal")
      logger.error({ err: error, method: request.method, route: request.routeOptions.url }, "request failed");
    return sendProblem(reply, problem);
  });
}

function toApiError(error: FastifyError): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof StateUnavailableError)
    return new ApiError("state-unavailable", error.message, { cause: error, retryAfterMs: error.retryAfterMs });
  if (error.validation !== undefined) return new ApiError("invalid-request", error.message, { cause: error });
  if (error.statusCode === 413) return new ApiError("payload-too-large", error.message, { cause: error });
  // Fastify's own refusals: a malformed URL, a body that is not JSON, an unsupported media type.
  if (error.statusCode !== undefined && error.statusCode < 500) return new ApiError("request-refused", error.message, { cause: error });
  return new ApiError("internal", "the worker's log says more", { cause: error });
}

function sendProblem(reply: FastifyReply, error: ApiError): FastifyReply {
  const problem = error.toProblem();
  if (error.retryAfterMs !== undefined) reply.header("retry-after", Math.max(1, Math.ceil(error.retryAfterMs / 1000)));
  if (problem.status === 401) reply.header("www-authenticate", 'Bearer realm="sluice"');
  return reply.code(problem.status).type("application/problem+json").send(JSON.stringify(problem));
}

function pathOf(request: FastifyRequest): string {
  return request.url.split("?", 1)[0];
}
