/** Makes the OpenAPI 3.1 document out of the registered routes: a route cannot be forgotten in it. */
import { STATUS_CODES } from "node:http";
import type { RouteOptions } from "fastify";
import { permissionFor } from "./access.ts";
import { PERMISSIONS } from "./grant.ts";
import { SCHEMAS } from "./openapi-schemas.ts";
import type { Operation } from "./route.ts";

interface ObjectSchema {
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, { readonly description?: string }>>;
}

/** Statuses that any route may answer with. */
const COMMON_PROBLEMS = [400, 403, 500];

const BEARER = {
  type: "http",
  scheme: "bearer",
  description: `Each operation names the permission it needs (${PERMISSIONS.join(", ")}); admin has all. Else, and for the path or query of a tenant that is not the token's, it answers 403 \`forbidden\`.`,
};

/** The dashboard's files are left out. Throws when any other route does not say what it is: the app must not start with it. */
export function openApiDocument(routes: readonly RouteOptions[], version: string, hasToken: boolean): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const operation = route.config?.operation;
    if (operation === undefined) {
      if (route.config?.public === true) continue;
      throw new Error(`the route ${[route.method].flat().join()} ${route.url} is not described: give it config.operation`);
    }
    const path = route.url.replace(/:(\w+)/g, "{$1}");
    for (const method of [route.method].flat()) {
      paths[path] = { ...paths[path], [method.toLowerCase()]: describe(route, operation, hasToken) };
    }
  }
  return {
    openapi: "3.1.0",
    info: { title: "Sluice", version, description: "Live state of devices, streams of output records, and the worker's health." },
    paths,
    components: {
      schemas: SCHEMAS,
      ...(hasToken ? { securitySchemes: { bearer: BEARER } } : {}),
    },
  };
}

function describe(route: RouteOptions, operation: Operation, hasToken: boolean): object {
  const needsToken = hasToken && route.config?.public !== true;
  const permission = permissionFor(route);
  const problems = [...COMMON_PROBLEMS, ...(needsToken ? [401] : []), ...(operation.problems ?? [])];
  return {
    tags: [operation.tag],
    summary: operation.summary,
    ...(operation.description === undefined ? {} : { description: operation.description }),
    parameters: [...parameters("path", route.schema?.params), ...parameters("query", route.schema?.querystring)],
    ...(route.schema?.body === undefined ? {} : { requestBody: { content: { "application/json": { schema: route.schema.body } } } }),
    responses: { ...success(operation), ...Object.fromEntries(problems.sort().map((status) => [status, problem(status)])) },
    ...(needsToken ? { security: [{ bearer: permission === undefined ? [] : [permission] }] } : {}),
  };
}

function parameters(place: "path" | "query", schema: unknown): object[] {
  const { properties = {}, required = [] } = (schema ?? {}) as ObjectSchema;
  return Object.entries(properties).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    required: required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema: rest,
  }));
}

function success({ answers, produces, status = 200 }: Operation): object {
  if (produces !== undefined) return { 200: { description: "OK", content: { [produces]: { schema: { type: "string" } } } } };
  if (answers === undefined) return {};
  return {
    [status]: {
      description: STATUS_CODES[status],
      content: { "application/json": { schema: { $ref: `#/components/schemas/${answers}` } } },
    },
  };
}

function problem(status: number): object {
  return {
    description: STATUS_CODES[status],
    content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
  };
}
