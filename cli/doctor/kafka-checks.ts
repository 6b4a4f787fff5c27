import type { KafkaDiagnosis } from "../../eventlog/kafka/diagnosis.ts";
import { OPERATION_BITS } from "../../eventlog/kafka/diagnosis.ts";
import type { EventLog } from "../../eventlog/port.ts";
import { STORES } from "../../processors/formats/records.ts";
import { changelogTopics, repartitionTopics } from "../../runtime/internal-topics.ts";
import { changelogTopic } from "../../state/changelog.ts";
import type { Topology } from "../../topology/topology.ts";
import type { Right } from "../acls.ts";
import type { Config } from "../config/schema.ts";
import { isDemanded } from "../topics/require-topics.ts";
import { problemText, verifyTopics } from "../topics/verify.ts";
import { wantedTopics } from "../topics/wanted-topics.ts";
import type { Check, Finding } from "./finding.ts";

type Found = Omit<Finding, "check">;

/** Session, window and alert times are compared across machines: more than this shows in them. ms. */
const CLOCK_WARN_MS = 1_000;
/** Past it a device's right clock looks wrong (`validation.maxFutureMs`, five minutes by default). ms. */
const CLOCK_ERROR_MS = 60_000;

export interface KafkaParts {
  readonly config: Config;
  readonly log: EventLog;
  readonly diagnosis: KafkaDiagnosis;
  /** With its names for the application. */
  readonly topology: Topology;
  readonly rights: readonly Right[];
}

export function kafkaChecks(parts: KafkaParts): Check[] {
  return [
    { name: "kafka.topics", run: () => topics(parts) },
    { name: "kafka.internal-topics", run: () => internalTopics(parts) },
    { name: "kafka.replicas", run: () => replicas(parts) },
    { name: "kafka.acls", run: () => acls(parts) },
    { name: "kafka.clock", run: () => clock(parts.diagnosis) },
  ];
}

/** First of all: where no broker answers, the other checks have nothing to say. */
export function brokersCheck({ diagnosis }: Pick<KafkaParts, "diagnosis">): Check {
  return {
    name: "kafka.brokers",
    run: async () => {
      const nodeIds = await diagnosis.nodeIds();
      return Promise.all(
        nodeIds.map(async (nodeId): Promise<Found> => {
          try {
            const missing = await diagnosis.missingRequests(nodeId);
            if (missing.length === 0) return { severity: "ok", seen: `broker ${nodeId} answers` };
            return { severity: "error", seen: `broker ${nodeId} does not take ${missing.join(", ")}`, mend: "run Kafka 3.0 or later" };
          } catch (error) {
            const seen = `broker ${nodeId}: ${error instanceof Error ? error.message : String(error)}`;
            return {
              severity: "error",
              seen,
              mend: "it is advertised, so clients must reach it: check advertised.listeners, network and TLS",
            };
          }
        }),
      );
    },
  };
}

async function topics({ config, log }: KafkaParts): Promise<Found[]> {
  const wanted = wantedTopics(config);
  const problems = (await verifyTopics(log.admin, wanted)).filter(({ setting }) => isDemanded(setting, config));
  const found = problems.map((problem): Found => {
    const mend =
      problem.setting === "exists"
        ? "sluice topics create"
        : `kafka-configs or kafka-topics --alter for ${problem.topic}, or change the configuration`;
    return { severity: "error", seen: problemText(problem), mend };
  });
  return found.length > 0 ? found : [{ severity: "ok", seen: `${wanted.length} topics are as configured` }];
}

async function internalTopics({ config, log, topology }: KafkaParts): Promise<Found[]> {
  const changelogs = changelogTopics(topology, config.applicationId);
  const names = [...changelogs, ...repartitionTopics(topology)];
  const inputs = await log.admin.describeTopics([config.topics.raw, config.shadow.updatesTopic]);
  const there = await log.admin.describeTopics(names);
  const inputOf = (name: string): string =>
    name === changelogTopic(config.applicationId, STORES.shadows) ? config.shadow.updatesTopic : config.topics.raw;
  const found: Found[] = [];
  for (const { name, partitions, config: settings } of there) {
    const wanted = inputs.find((input) => input.name === inputOf(name))?.partitions;
    if (wanted !== undefined && partitions !== wanted)
      found.push({
        severity: "error",
        seen: `${name} has ${partitions} partitions where the input has ${wanted}`,
        mend: "restore the partition count, or sluice reset",
      });
    if (changelogs.includes(name) && settings["cleanup.policy"] !== "compact")
      found.push({
        severity: "error",
        seen: `${name}: cleanup.policy is ${settings["cleanup.policy"] ?? "unknown"}, so state would be lost`,
        mend: "set it to compact",
      });
  }
  const missing = names.length - there.length;
  if (missing > 0) found.push({ severity: "ok", seen: `${missing} of ${names.length} are not there yet: a worker makes them` });
  return found.length > 0 ? found : [{ severity: "ok", seen: `${names.length} are as they must be` }];
}

async function replicas({ config, diagnosis, topology }: KafkaParts): Promise<Found[]> {
  const names = [...Object.values(config.topics), ...changelogTopics(topology, config.applicationId)];
  const { brokers, topics: described } = await diagnosis.details(names);
  const found: Found[] = [];
  for (const { topic, partitions } of described) {
    const leaderless = partitions.filter(({ leader }) => leader < 0).length;
    const behind = partitions.filter(({ replicas: all, inSync }) => inSync < all).length;
    const single = partitions.some(({ replicas: all }) => all === 1);
    if (leaderless > 0)
      found.push({ severity: "error", seen: `${topic}: ${leaderless} partitions have no leader`, mend: "bring their brokers back" });
    if (behind > 0)
      found.push({
        severity: "warning",
        seen: `${topic}: ${behind} partitions have replicas out of sync`,
        mend: "look at the brokers that hold them",
      });
    if (single && brokers.length > 1)
      found.push({
        severity: "warning",
        seen: `${topic} has one replica on ${brokers.length} brokers`,
        mend: "kafka-reassign-partitions to three, with min.insync.replicas 2",
      });
  }
  return found.length > 0 ? found : [{ severity: "ok", seen: "every partition has a leader and its replicas in sync" }];
}

async function acls({ diagnosis, rights }: KafkaParts): Promise<Found[]> {
  const named = rights.filter(({ prefix }) => prefix !== true);
  const wanted = [...new Set(named.filter(({ resource }) => resource === "Topic").map(({ name }) => name))];
  const { topics: described } = await diagnosis.details(wanted);
  const found: Found[] = [];
  const missing = (name: string, resource: Right["resource"], bits: number): void => {
    const lacks = named.filter(
      (right) => right.name === name && right.resource === resource && (bits & (1 << OPERATION_BITS[right.operation])) === 0,
    );
    if (lacks.length === 0) return;
    const operations = [...new Set(lacks.map(({ operation }) => operation))].join(", ");
    found.push({
      severity: "error",
      seen: `no right to ${operations} ${resource} ${name}`,
      mend: "sluice doctor --acls prints what to grant",
    });
  };
  for (const { topic, errorCode, authorizedOperations } of described) {
    // one that is not there has no rights to tell; kafka.topics says that it is not there
    if (errorCode === 0) missing(topic, "Topic", authorizedOperations);
    else if (errorCode === TOPIC_AUTHORIZATION_FAILED) missing(topic, "Topic", 0);
  }
  const groups = new Set(named.filter(({ resource }) => resource === "Group").map(({ name }) => name));
  for (const group of groups) missing(group, "Group", await groupBits(diagnosis, group));
  if (found.length === 0) found.push({ severity: "ok", seen: "topics and groups are allowed" });
  const unseen = [...new Set(rights.filter(({ prefix }) => prefix === true).map(({ resource, name }) => `${resource} ${name}*`))];
  if (unseen.length > 0)
    found.push({
      severity: "unseen",
      seen: `rights to ${unseen.join(", ")}: Kafka does not tell a client of those`,
      mend: "sluice doctor --acls prints them",
    });
  return found;
}

const TOPIC_AUTHORIZATION_FAILED = 29;

async function groupBits(diagnosis: KafkaDiagnosis, groupId: string): Promise<number> {
  try {
    return await diagnosis.groupOperations(groupId);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "unauthorized") return 0;
    throw error;
  }
}

async function clock(diagnosis: KafkaDiagnosis): Promise<Found[]> {
  try {
    const offset = await diagnosis.clockOffset();
    if (offset === undefined) return [{ severity: "unseen", seen: "the controller does not tell its time" }];
    const ms = Math.round(offset.offsetMs);
    const seen = `the controller's clock is ${Math.abs(ms)} ms ${ms < 0 ? "behind" : "ahead of"} this machine's (exact to ${Math.ceil(offset.exactMs)} ms)`;
    const off = Math.abs(ms) - offset.exactMs;
    if (off < CLOCK_WARN_MS) return [{ severity: "ok", seen }];
    return [{ severity: off < CLOCK_ERROR_MS ? "warning" : "error", seen, mend: "run NTP (chrony, systemd-timesyncd) on both" }];
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || error.code !== "unauthorized") throw error;
    return [
      {
        severity: "unseen",
        seen: "the controller's clock: that takes Describe on the cluster",
        mend: "grant it to see it, or compare clocks by hand",
      },
    ];
  }
}
