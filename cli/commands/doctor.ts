import type { Logger } from "pino";
import { KafkaDiagnosis } from "../../eventlog/kafka/diagnosis.ts";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { buildTelemetryTopology } from "../../processors/telemetry-topology.ts";
import { gatewayRights, ingressRights, rightsTable, workerRights, type Right } from "../acls.ts";
import { commandContext, type CommonOptions } from "../command-options.ts";
import type { Config } from "../config/schema.ts";
import { fileFinding, serverFinding } from "../doctor/certificates.ts";
import { runChecks, type Check, type Finding } from "../doctor/finding.ts";
import { gatewayChecks } from "../doctor/gateway-checks.ts";
import { brokersCheck, kafkaChecks } from "../doctor/kafka-checks.ts";
import { mqttChecks } from "../doctor/mqtt-checks.ts";
import { EXIT } from "../exit-codes.ts";
import { mqttSettings } from "../mqtt-settings.ts";
import { kafkaOptions } from "../open-kafka.ts";
import { readTlsFiles } from "../tls-files.ts";

/** Of one check. Longer than a connection may take with its handshakes (5 s each). */
const CHECK_TIMEOUT_MS = 12_000;

export type Role = "worker" | "ingress" | "gateway";

export interface DoctorOptions extends CommonOptions {
  readonly role?: Role;
  readonly acls?: boolean;
  readonly mosquittoConf?: string;
}

/** `sluice doctor`: looks, changes nothing. Exit code 1 with any finding of level error. */
export async function run(options: DoctorOptions): Promise<number> {
  const { config, logger, output } = commandContext(options, { quietLevel: "silent" });
  if (options.acls === true) {
    const roles = (["worker", "ingress", "gateway"] as const).filter((role) => options.role === undefined || options.role === role);
    const rights = roles.map((role) => ({ role, rights: rightsOf(role, config) }));
    output.result(rights.map((one) => aclText(one.role, one.rights)).join("\n\n"), { rights });
    return EXIT.ok;
  }
  const findings = await look(config, logger, options);
  const failed = findings.some(({ severity }) => severity === "error");
  output.result(findings.map(findingText).join("\n"), { ok: !failed, findings });
  return failed ? EXIT.failure : EXIT.ok;
}

async function look(config: Config, logger: Logger, { role, mosquittoConf }: DoctorOptions): Promise<Finding[]> {
  if (role === "gateway") return lookAtGateway(config, logger);
  const withMqtt = role !== "worker";
  const [kafka, others] = await Promise.all([
    lookAtKafka(config, logger, role),
    runChecks(
      [...certificateChecks(config, withMqtt), ...(withMqtt ? mqttChecks(mqttSettings(config, logger), mosquittoConf) : [])],
      CHECK_TIMEOUT_MS,
    ),
  ]);
  return [...kafka, ...others];
}

async function lookAtGateway(config: Config, logger: Logger): Promise<Finding[]> {
  const isMqtt = config.gateway.uplink.to === "mqtt";
  const upstream = isMqtt ? mqttChecks(mqttSettings(config, logger), undefined) : [];
  const [kafka, others] = await Promise.all([
    isMqtt ? [] : lookAtKafka(config, logger, "gateway"),
    runChecks([...gatewayChecks(config), ...upstream], CHECK_TIMEOUT_MS),
  ]);
  return [...kafka, ...others];
}

async function lookAtKafka(config: Config, logger: Logger, role: Role | undefined): Promise<Finding[]> {
  const options = { ...kafkaOptions(config, logger), requestTimeoutMs: CHECK_TIMEOUT_MS };
  const [log, diagnosis] = [new KafkaLog(options), new KafkaDiagnosis(options)];
  try {
    const topology = buildTelemetryTopology(config).forApplication(config.applicationId);
    const roles: readonly Role[] = role === undefined ? ["worker", "ingress"] : [role];
    const rights = roles.flatMap((one) => rightsOf(one, config));
    const parts = { config, log, diagnosis, topology, rights };
    const brokers = await runChecks([brokersCheck(parts)], CHECK_TIMEOUT_MS);
    const checks = kafkaChecks(parts);
    if (brokers.some(({ severity }) => severity === "ok")) return [...brokers, ...(await runChecks(checks, CHECK_TIMEOUT_MS))];
    return [...brokers, ...checks.map(({ name }): Finding => ({ check: name, severity: "unseen", seen: "no broker answers" }))];
  } finally {
    await Promise.all([log.close(), diagnosis.close()]);
  }
}

function certificateChecks({ kafka, mqtt }: Config, withMqtt: boolean): Check[] {
  const files = [kafka.ssl?.certFile, withMqtt ? mqtt.tls?.certFile : undefined].filter((file) => file !== undefined);
  const checks = [...new Set(files)].map((file): Check => ({
    name: "certificates",
    run: () => Promise.resolve([fileFinding(file, Date.now())]),
  }));
  const { ssl, brokers = [] } = kafka;
  if (ssl?.enabled === true) checks.push(...brokers.map((broker) => serverCheck(`kafka ${broker}`, new URL(`tcp://${broker}`), 9092, ssl)));
  const url = URL.parse(mqtt.url);
  if (withMqtt && url !== null && /^(mqtts|wss):$/.test(url.protocol))
    checks.push(serverCheck(`mqtt ${url.host}`, url, url.protocol === "wss:" ? 443 : 8883, mqtt.tls ?? {}));
  return checks;
}

function serverCheck(name: string, { hostname, port }: URL, defaultPort: number, files: Parameters<typeof readTlsFiles>[0]): Check {
  const host = hostname.replace(/^\[|\]$/g, "");
  return {
    name: "certificates",
    run: async () => [await serverFinding(name, host, port === "" ? defaultPort : Number(port), readTlsFiles(files), Date.now())],
  };
}

function rightsOf(role: Role, config: Config): Right[] {
  switch (role) {
    case "worker":
      return workerRights(config);
    case "ingress":
      return ingressRights(config);
    case "gateway":
      return gatewayRights(config);
  }
}

function aclText(role: Role, rights: readonly Right[]): string {
  const commands = rights.map(({ operation, resource, name, prefix }) => {
    const kind = { Topic: "--topic", Group: "--group", TransactionalId: "--transactional-id" }[resource];
    return `kafka-acls --bootstrap-server "$KAFKA" --add --allow-principal "User:$PRINCIPAL" --operation ${operation} ${kind} '${name}'${prefix === true ? " --resource-pattern-type prefixed" : ""}`;
  });
  return [`# ${role}: all it needs, and no more`, ...rightsTable(rights).map((row) => `# ${row}`), ...commands].join("\n");
}

function findingText({ check, severity, seen, mend }: Finding): string {
  return `${severity.padEnd(7)} ${check}: ${seen}${mend === undefined ? "" : `\n        ${mend}`}`;
}
