import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { Logger } from "pino";
import { Counter, type Registry } from "prom-client";
import type { Authenticate } from "../api/auth.ts";
import { ApiError } from "../api/errors.ts";
import { permits } from "../api/grant.ts";
import { BrokerAuthHttp, type BrokerAuthOptions, type HttpAnswer } from "./broker-auth-http.ts";
import type { Closers } from "./service.ts";

/** A scrape is one small request. */
const REQUEST_TIMEOUT_MS = 10_000;

export interface IngressDoors {
  readonly auth?: BrokerAuthOptions | undefined;
  /** Asked about `/metrics`, which needs the permission monitor then. */
  readonly authenticate?: Authenticate | undefined;
}

/**
 * Health and metrics of an ingress, for those who run it: `/health/live`, `/health/ready` (connected to the MQTT broker) and
 * `/metrics` (counts, with tenants' names). With `auth` also the webhook that brokers ask who may use which topic.
 * Returns the port it listens on.
 */
export async function startIngressHttp(
  { host, port }: { host: string; port: number },
  ingress: { stats(): { readonly connected: boolean } },
  registry: Registry,
  logger: Logger,
  closers: Closers,
  { auth, authenticate }: IngressDoors = {},
): Promise<number> {
  const brokerAuth = auth === undefined ? undefined : new BrokerAuthHttp(auth);
  if (brokerAuth !== undefined) registerAuthMetrics(registry, brokerAuth);
  const answer = async (request: IncomingMessage): Promise<HttpAnswer> => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    const authorized = await brokerAuth?.answer(request);
    if (authorized !== undefined) return authorized;
    if (path === "/health/live") return [200, "text/plain", "live\n"];
    if (path === "/health/ready")
      return ingress.stats().connected ? [200, "text/plain", "ready\n"] : [503, "text/plain", "not connected to the MQTT broker\n"];
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

function registerAuthMetrics(registry: Registry, { counts }: BrokerAuthHttp): void {
  new Counter({
    name: "sluice_ingress_broker_auth_total",
    help: "Questions of the MQTT broker by answer; refused: without the secret, or too many.",
    labelNames: ["answer"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [answer, count] of Object.entries(counts)) this.inc({ answer }, count);
    },
  });
}
