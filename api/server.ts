/** Builds the app (routes and hooks, no I/O); starting it is apart, so that tests and tools need no port. */
import Fastify, { type FastifyInstance, type FastifyRequest } from "fastify";
import { authorize } from "./access.ts";
import { type Authenticate, authenticator, hasTokens } from "./auth.ts";
import { setErrorHandlers } from "./error-handler.ts";
import { FULL_GRANT } from "./grant.ts";
import { Group } from "./group.ts";
import { hostCheck, isLoopback } from "./host-check.ts";
import type { ApiOptions } from "./options.ts";
import { Ownership } from "./ownership.ts";
import { PeerClient } from "./peer-client.ts";
import { aggregateRoutes } from "./routes/aggregates.ts";
import { alertRoutes } from "./routes/alerts.ts";
import { commandRoutes } from "./routes/commands.ts";
import { controlRoutes } from "./routes/control.ts";
import { dashboardRoutes } from "./routes/dashboard.ts";
import { deviceRoutes } from "./routes/devices.ts";
import { healthRoutes } from "./routes/health.ts";
import { ledgerRoutes } from "./routes/ledger.ts";
import { metricsRoutes } from "./routes/metrics.ts";
import { openApiRoutes } from "./routes/openapi.ts";
import { shadowRoutes } from "./routes/shadow.ts";
import { storeRoutes } from "./routes/stores.ts";
import { streamRoutes } from "./routes/stream.ts";
import { taskRoutes } from "./routes/tasks.ts";
import { tenantRoutes } from "./routes/tenants.ts";
import { topologyRoutes } from "./routes/topology.ts";
import { addSecurityHeaders } from "./security-headers.ts";

export type { ApiOptions } from "./options.ts";

/** Commands and shadows have at most 32 KiB; nothing else has a body. */
const MAX_BODY_BYTES = 64 * 1024;
/** A request's headers and body must be here by then (slow-loris); streams are answers and may go on. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Sockets, streams included: far above a wall of screens, far below what a process may open. */
const MAX_CONNECTIONS = 1024;
/** Ids of 256 bytes, percent-encoded. */
const MAX_PARAM_LENGTH = 3 * 256;
/** Above `kafka.sessionTimeoutMs` nothing is gained; a page of devices takes far less than this. */
const DEFAULT_PEER_TIMEOUT_MS = 3000;

const HAS_TOKEN = "sluiceHasToken";

/** The caller starts it with startApi() and ends it with app.close(), which ends open streams too. Throws on an empty `token`. */
export function buildApi(options: ApiOptions): FastifyInstance {
  if (options.token === "") throw new Error("http.token is set but empty");
  const app = Fastify({
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    // An unknown query parameter is a mistake to tell of, not to drop silently.
    ajv: { customOptions: { removeAdditional: false } },
  });
  app.server.maxConnections = MAX_CONNECTIONS;
  app.decorate(HAS_TOKEN, hasTokens(options));
  const authenticate = authenticator(options);
  guard(app, options, authenticate);
  setErrorHandlers(app, options);

  const peerTimeoutMs = options.peerTimeoutMs ?? DEFAULT_PEER_TIMEOUT_MS;
  const peers = new PeerClient(peerTimeoutMs, () => options.queries.worker().workerId, options.logger);
  const services = { options, authenticate, ownership: new Ownership(options.queries, peers), group: new Group(options.queries, peers) };
  openApiRoutes(app, services);
  tenantRoutes(app, services);
  deviceRoutes(app, services);
  aggregateRoutes(app, services);
  alertRoutes(app, services);
  ledgerRoutes(app, services);
  commandRoutes(app, services);
  shadowRoutes(app, services);
  controlRoutes(app, services);
  storeRoutes(app, services);
  streamRoutes(app, services);
  topologyRoutes(app, services);
  taskRoutes(app, services);
  healthRoutes(app, services);
  metricsRoutes(app, services);
  dashboardRoutes(app);
  return app;
}

/** Port 0 takes a free one. Resolves to the URL; rejects when the host is not loopback and there is no token, or listening fails. */
export async function startApi(app: FastifyInstance, { host, port }: { host: string; port: number }): Promise<string> {
  if (!isLoopback(host) && !app.getDecorator<boolean>(HAS_TOKEN)) {
    throw new Error(
      `http.host is ${host}, which others can reach: set a token (SLUICE_HTTP_TOKEN or http.tokensFile), or listen on 127.0.0.1`,
    );
  }
  return app.listen({ host, port });
}

function guard(app: FastifyInstance, { advertised }: ApiOptions, authenticate: Authenticate | undefined): void {
  const checkHost = hostCheck(advertised);
  const admit = (request: FastifyRequest): void => {
    if (authenticate === undefined) {
      checkHost(request.headers.host);
      request.grant = FULL_GRANT;
      return;
    }
    if (request.routeOptions.config.public === true) return;
    request.grant = authenticate(request.headers.authorization);
    authorize(request, request.grant);
  };
  app.decorateRequest("grant");
  app.addHook("onRequest", (request, reply, done) => {
    addSecurityHeaders(reply);
    admit(request);
    done();
  });
}
