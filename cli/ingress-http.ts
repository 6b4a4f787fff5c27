import { once } from "node:events";
import { createServer } from "node:http";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { Ingress } from "../bridge/ingress.ts";
import type { Closers } from "./service.ts";

/** A scrape is one small request. */
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * Health and metrics of an ingress, for those who run it: `/health/live`, `/health/ready` (connected to the MQTT broker) and
 * `/metrics` (counts only, nothing of the devices).
 */
export async function startIngressHttp(
  { host, port }: { host: string; port: number },
  ingress: Ingress,
  registry: Registry,
  logger: Logger,
  closers: Closers,
): Promise<void> {
  const answer = async (path: string): Promise<[status: number, type: string, body: string]> => {
    if (path === "/health/live") return [200, "text/plain", "live\n"];
    if (path === "/health/ready")
      return ingress.stats().connected ? [200, "text/plain", "ready\n"] : [503, "text/plain", "not connected to the MQTT broker\n"];
    if (path === "/metrics") return [200, registry.contentType, await registry.metrics()];
    return [404, "text/plain", "not found\n"];
  };
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    answer(new URL(request.url ?? "/", "http://localhost").pathname).then(
      ([status, type, body]) => response.writeHead(status, { "content-type": type }).end(body),
      (error: unknown) => {
        logger.error({ err: error }, "metrics could not be collected");
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
}
