/** An app over fakes, closed with the test. */
import type { TestContext } from "node:test";
import type { FastifyInstance } from "fastify";
import pino from "pino";
import { Registry } from "prom-client";
import { type ApiOptions, buildApi, startApi } from "../../../../api/server.ts";
import { FakeFeed, FakeQueries } from "./fake-worker.ts";

export const TOPICS = { normalized: "iot.telemetry.normalized", aggregates: "iot.telemetry.aggregates", alerts: "iot.alerts" };

export interface ApiUnderTest {
  readonly app: FastifyInstance;
  readonly queries: FakeQueries;
  readonly feed: FakeFeed;
  readonly registry: Registry;
}

export function apiOverFakes(t: TestContext, options: Partial<ApiOptions> & { workerId?: string } = {}): ApiUnderTest {
  const queries = new FakeQueries(options.workerId);
  const feed = new FakeFeed();
  const registry = new Registry();
  const logger = pino({ level: "silent" });
  const app = buildApi({ queries, feed, registry, topics: TOPICS, ready: () => true, logger, version: "0.0.0-test", ...options });
  t.after(() => app.close());
  return { app, queries, feed, registry };
}

/** Listens on a free port of 127.0.0.1; resolves to the URL. */
export function listening(app: FastifyInstance): Promise<string> {
  return startApi(app, { host: "127.0.0.1", port: 0 });
}
