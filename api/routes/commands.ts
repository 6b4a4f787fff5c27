/** `POST …/devices/{id}/commands` and `GET …/commands/{command}`: commands to a device, and what became of them. */
import { randomUUID } from "node:crypto";
import type { FastifyInstance } from "fastify";
import {
  commandProblem,
  GUARANTEES,
  isCommandTarget,
  MAX_COMMAND_BYTES,
  MAX_COMMAND_LIFE_MS,
  type Command,
  type Guarantee,
  type Qos,
} from "../../processors/formats/commands.ts";
import { ApiError } from "../errors.ts";
import type { CommandGate } from "../options.ts";
import { checkId, DEVICE_PARAMS, type DeviceParams } from "../parameters.ts";
import type { Services } from "../route.ts";

interface SendBody {
  readonly id?: string;
  readonly name: string;
  readonly payload?: unknown;
  readonly guarantee?: Guarantee;
  readonly qos?: Qos;
  readonly expiresInMs?: number;
}

const COMMAND_ID = { type: "string", minLength: 1, maxLength: 128 } as const;
/** After a log that did not answer: the same request may be made again, its id makes it one command. */
const RETRY_AFTER_MS = 1_000;

const SEND_BODY = {
  type: "object",
  required: ["name"],
  additionalProperties: false,
  properties: {
    id: { ...COMMAND_ID, description: "The same id twice is one command. Default: the Idempotency-Key header, else a new one" },
    name: { type: "string", minLength: 1, maxLength: 128 },
    payload: { description: "Any JSON, for the device" },
    guarantee: { type: "string", enum: GUARANTEES, default: "at-least-once" },
    qos: { type: "integer", enum: [0, 1, 2], description: "Default: 1 with at-least-once, 0 with at-most-once" },
    expiresInMs: { type: "integer", minimum: 1_000, maximum: MAX_COMMAND_LIFE_MS },
  },
} as const;

const COMMAND_PARAMS = {
  type: "object",
  required: [...DEVICE_PARAMS.required, "command"],
  properties: { ...DEVICE_PARAMS.properties, command: { ...COMMAND_ID, description: "Id of the command" } },
} as const;

export function commandRoutes(app: FastifyInstance, { options }: Services): void {
  const gate = (): CommandGate => {
    if (options.commands !== undefined) return options.commands;
    throw new ApiError("commands-unavailable", "commands.enabled is false");
  };

  app.post<{ Params: DeviceParams; Body: SendBody; Headers: { "idempotency-key"?: string } }>(
    "/v1/tenants/:tenant/devices/:id/commands",
    {
      schema: { params: DEVICE_PARAMS, body: SEND_BODY },
      config: {
        operation: {
          tag: "commands",
          summary: "Send a command: 202 when the log has it, 200 with its status when its id is known",
          answers: "Command",
          status: 202,
          problems: [501, 503],
        },
      },
    },
    async (request, reply) => {
      const commands = gate();
      const command = commandOf(request.params, request.body, request.headers["idempotency-key"], commands.expiresInMs);
      const { tenant, deviceId, id } = command;
      const known =
        request.body.id === undefined && request.headers["idempotency-key"] === undefined ? undefined : await statusOf(commands, command);
      if (known !== undefined) return known;
      try {
        await commands.send(command);
      } catch (cause) {
        throw new ApiError("log-unavailable", "the log did not take the command", { cause, retryAfterMs: RETRY_AFTER_MS });
      }
      const path = [tenant, "devices", deviceId, "commands", id].map(encodeURIComponent).join("/");
      reply.code(202).header("location", `/v1/tenants/${path}`);
      const { v, name, guarantee, issuedTs, expiresTs } = command;
      return { v, id, tenant, deviceId, name, state: "queued", attempts: 0, guarantee, ts: issuedTs, expiresTs };
    },
  );

  app.get<{ Params: DeviceParams & { command: string } }>(
    "/v1/tenants/:tenant/devices/:id/commands/:command",
    {
      schema: { params: COMMAND_PARAMS },
      config: { operation: { tag: "commands", summary: "What became of a command", answers: "Command", problems: [404, 501, 503] } },
    },
    async ({ params }) => {
      const found = await statusOf(gate(), {
        tenant: checkId(params.tenant, "tenant"),
        deviceId: checkId(params.id, "device id"),
        id: params.command,
      });
      if (found === undefined) throw new ApiError("command-unknown", `no command "${params.command}" of this device is remembered`);
      return found;
    },
  );
}

async function statusOf(commands: CommandGate, { tenant, deviceId, id }: Pick<Command, "tenant" | "deviceId" | "id">) {
  try {
    return await commands.status(tenant, deviceId, id);
  } catch (cause) {
    throw new ApiError("log-unavailable", "the statuses of commands cannot be read now", { cause, retryAfterMs: RETRY_AFTER_MS });
  }
}

/** Throws ApiError `invalid-request`. */
function commandOf(params: DeviceParams, body: SendBody, idempotencyKey: string | undefined, defaultLifeMs: number): Command {
  const { name, payload, guarantee = "at-least-once", expiresInMs = defaultLifeMs } = body;
  if (body.id !== undefined && idempotencyKey !== undefined && body.id !== idempotencyKey)
    throw new ApiError("invalid-request", "body.id and the Idempotency-Key header differ");
  const now = Date.now();
  const command: Command = {
    v: 1,
    id: body.id ?? idempotencyKey ?? randomUUID(),
    tenant: checkId(params.tenant, "tenant"),
    deviceId: checkId(params.id, "device id"),
    name,
    ...(payload === undefined ? {} : { payload }),
    guarantee,
    qos: body.qos ?? (guarantee === "at-least-once" ? 1 : 0),
    issuedTs: now,
    expiresTs: now + expiresInMs,
  };
  for (const [what, id] of [
    ["tenant", command.tenant],
    ["device id", command.deviceId],
  ])
    if (!isCommandTarget(id)) throw new ApiError("invalid-request", `${what} cannot be one level of an MQTT topic`);
  const problem = commandProblem(command);
  if (problem !== undefined) throw new ApiError("invalid-request", problem);
  if (Buffer.byteLength(JSON.stringify(command)) > MAX_COMMAND_BYTES)
    throw new ApiError("payload-too-large", `a command has at most ${MAX_COMMAND_BYTES} bytes`);
  return command;
}
