/**
 * Which MQTT topics hold what: `t/{tenant}/d/{deviceId}/telemetry` and others like it. A template is levels: a literal, `+` for any
 * level, `{tenant}` and `{deviceId}` once each. Without `{tenant}` the template's own tenant is everybody's on it.
 */
import { BridgeError } from "./errors.ts";
import { TELEMETRY_TEMPLATE, isId, type DeviceTopic } from "./device-topic.ts";

/** A template alone, or one whose topics name no tenant, with the tenant. */
export type TemplateSetting = string | { readonly template: string; readonly tenant: string };

interface Template {
  readonly levels: readonly string[];
  readonly tenantAt: number;
  readonly deviceAt: number;
  readonly tenant: string;
}

export class TopicTemplates {
  readonly #templates: readonly Template[];

  /** Throws `bad-settings` for a template that is none. */
  constructor(settings: readonly TemplateSetting[] = [TELEMETRY_TEMPLATE]) {
    this.#templates = settings.map(parseTemplate);
  }

  /** Undefined when no template fits, or an id is empty, too long, or holds the key's separator "|". The first that fits counts. */
  parse(topic: string): DeviceTopic | undefined {
    for (const { levels, tenantAt, deviceAt, tenant: constant } of this.#templates) {
      const found = topic.split("/", levels.length + 1);
      if (found.length !== levels.length || !levels.every((level, at) => level === "+" || level === found[at] || isPlaceholder(level)))
        continue;
      const tenant = tenantAt === -1 ? constant : found[tenantAt];
      const deviceId = found[deviceAt];
      if (isId(tenant) && isId(deviceId)) return { tenant, deviceId };
    }
    return undefined;
  }

  /** The subscriptions that bring all of them: `+` in each placeholder's place. */
  filters(): string[] {
    return this.#templates.map(({ levels }) => levels.map((level) => (isPlaceholder(level) ? "+" : level)).join("/"));
  }
}

function parseTemplate(setting: TemplateSetting): Template {
  const { template, tenant } = typeof setting === "string" ? { template: setting, tenant: "" } : setting;
  const levels = template.split("/");
  const wrong = templateProblem(setting);
  if (wrong !== undefined) throw new BridgeError("bad-settings", `topic template ${template}: ${wrong}`);
  return { levels, tenantAt: levels.indexOf("{tenant}"), deviceAt: levels.indexOf("{deviceId}"), tenant };
}

/** What is wrong with a template, or undefined. */
export function templateProblem(setting: TemplateSetting): string | undefined {
  const { template, tenant } = typeof setting === "string" ? { template: setting, tenant: undefined } : setting;
  const levels = template.split("/");
  const count = (wanted: string): number => levels.filter((level) => level === wanted).length;
  if (levels.some((level) => level.includes("#") || (/[{}+]/.test(level) && level !== "+" && !isPlaceholder(level))))
    return 'a level is a literal, "+", {tenant} or {deviceId}';
  if (count("{deviceId}") !== 1) return "must hold {deviceId} once";
  if (tenant === undefined && count("{tenant}") !== 1) return "must hold {tenant} once, or come with a tenant";
  if (tenant !== undefined && count("{tenant}") !== 0) return "holds {tenant} and comes with a tenant";
  if (tenant !== undefined && !isId(tenant)) return 'its tenant must be 1 to 256 bytes without "|"';
  return undefined;
}

function isPlaceholder(level: string): boolean {
  return level === "{tenant}" || level === "{deviceId}";
}

/** The subscription of the default template. */
export const DEFAULT_FILTERS: readonly string[] = new TopicTemplates().filters();
