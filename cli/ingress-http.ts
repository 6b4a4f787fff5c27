import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { Authenticate } from "../api/auth.ts";
import { ScrapedMetrics } from "../bridge/scraped-metrics.ts";
import { BrokerAuthHttp, type BrokerAuthOptions } from "./broker-auth-http.ts";
import { startHealthHttp } from "./health-http.ts";
import type { Closers } from "./service.ts";

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
  address: { host: string; port: number },
  ingress: { stats(): { readonly connected: boolean } },
  registry: Registry,
  logger: Logger,
  closers: Closers,
  { auth, authenticate }: IngressDoors = {},
): Promise<number> {
  const brokerAuth = auth === undefined ? undefined : new BrokerAuthHttp(auth);
  if (brokerAuth !== undefined) {
    const metrics = new ScrapedMetrics(registry, "sluice_ingress_", () => brokerAuth.counts);
    const help = "Questions of the MQTT broker by answer; refused: without the secret, or too many.";
    metrics.counters("broker_auth_total", help, "answer", (counts) => ({ ...counts }));
  }
  return startHealthHttp(
    address,
    {
      notReady: () => (ingress.stats().connected ? undefined : "not connected to the MQTT broker"),
      registry,
      logger,
      authenticate,
      also: async (request) => brokerAuth?.answer(request),
    },
    closers,
  );
}
