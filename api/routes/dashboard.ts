/** `/` and its files: public, because they hold no data; what they show they ask the API for. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import fastifyStatic from "@fastify/static";
import type { FastifyInstance, FastifyReply } from "fastify";

const PAGE_DIR = join(import.meta.dirname, "..", "dashboard");
const UPLOT_FILES = ["/uPlot.esm.js", "/uPlot.min.css"];

export function dashboardRoutes(app: FastifyInstance): void {
  app.register((scope, _options, done) => {
    scope.addHook("onRoute", (route) => {
      route.config = { ...route.config, public: true };
    });
    const uplotDir = dirname(createRequire(import.meta.url).resolve("uplot"));
    scope.register(fastifyStatic, { root: PAGE_DIR, prefix: "/dashboard/", cacheControl: false, setHeaders: revalidate });
    scope.register(fastifyStatic, {
      root: uplotDir,
      prefix: "/dashboard/vendor/",
      decorateReply: false,
      allowedPath: (path) => UPLOT_FILES.includes(path),
      cacheControl: false,
      setHeaders: revalidate,
    });
    scope.get("/", (_request, reply) => reply.sendFile("index.html"));
    scope.get("/favicon.ico", (_request, reply) => reply.sendFile("favicon.svg"));
    done();
  });
}

/** Files change with the version only, and an etag makes asking cheap. */
function revalidate(reply: FastifyReply): void {
  reply.header("cache-control", "no-cache");
}
