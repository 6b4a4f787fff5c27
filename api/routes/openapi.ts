/** `GET /openapi.json`, made of the routes themselves when the app is ready. */
import type { FastifyInstance, RouteOptions } from "fastify";
import { hasTokens } from "../auth.ts";
import { openApiDocument } from "../openapi-document.ts";
import type { Services } from "../route.ts";

/** Must be registered before the routes it tells of. */
export function openApiRoutes(app: FastifyInstance, { options }: Services): void {
  const routes: RouteOptions[] = [];
  app.addHook("onRoute", (route) => void routes.push(route));
  let document: unknown;
  app.addHook("onReady", () => {
    document = openApiDocument(routes, options.version, hasTokens(options));
    return Promise.resolve();
  });
  app.get(
    "/openapi.json",
    { config: { access: "any", operation: { tag: "operations", summary: "This description", answers: "OpenApi" } } },
    () => document,
  );
}
