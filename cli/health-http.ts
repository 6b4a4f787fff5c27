import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { Authenticate } from "../api/auth.ts";
import { ApiError } from "../api/errors.ts";
import { permits } from "../api/grant.ts";
import type { HttpAnswer } from "./broker-auth-http.ts";
import type { Closers } from "./service.ts";

/** A scrape is one small request. */
const REQUEST_TIMEOUT_MS = 10_000;

export interface HealthHttpOptions {
  /** What is missing, or undefined when the service does its work. */
  readonly notReady: () => string | undefined;
  readonly registry: Registry;
  readonly logger: Logger;
  /** Asked about `/metrics`, which needs the permission monitor then. */
  readonly authenticate?: Authenticate | undefined;
  /** Asked first; undefined: the path is none of its. */
  readonly also?: (request: IncomingMessage) => Promise<HttpAnswer | undefined>;
}

/**
 * Health and metrics of a service without an API, for those who run it: `/health/live`, `/health/ready` and `/metrics` (counts only,
 * nothing of the devices). Returns the port it listens on.
 */
export async function startHealthHttp(
  { host, port }: { host: string; port: number },
  { notReady, registry, logger, authenticate, also }: HealthHttpOptions,
  closers: Closers,
): Promise<number> {
  const answer = async (request: IncomingMessage): Promise<HttpAnswer> => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    const answered = await also?.(request);
    if (answered !== undefined) return answered;
    if (path === "/health/live") return [200, "text/plain", "live\n"];
    if (path === "/health/ready") {
      const missing = notReady();
      return missing === undefined ? [200, "text/plain", "ready\n"] : [503, "text/plain", `${missing}\n`];
    }
    if (path === "/metrics") return refusal(request, authenticate) ?? [200, registry.contentType, await registry.metrics()];
    return [404, "text/plain", "not found\n"];
  };
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    answer(request).then(
      ([status, type, body]) => response.writeHead(status, { "content-type": type }).end(body),
      (error: unknown) => {
        logger.error({ err: error }, "a request could not be answered");
        response.writeHead(500).end();
      },
    );
  });
  server.listen(port, host);
  await once(server, "listening");
  closers.push("http", async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : port;
}

/** Undefined for those who may see the metrics. */
function refusal({ headers }: IncomingMessage, authenticate: Authenticate | undefined): HttpAnswer | undefined {
  try {
    if (authenticate === undefined || permits(authenticate(headers.authorization), "monitor")) return undefined;
    return [403, "text/plain", 'the token has no permission "monitor"\n'];
  } catch (error) {
    if (error instanceof ApiError) return [401, "text/plain", `${error.message}\n`];
    throw error;
  }
}
