import { hostname } from "node:os";
import { Registry } from "prom-client";
import { authenticator } from "../../api/auth.ts";
import { GatewayAccess } from "../../bridge/gateway-access.ts";
import { IngressReplica } from "../../bridge/scale-out/replica.ts";
import type { ShadowService } from "../../bridge/shadow/shadow-service.ts";
import { ingressGroup } from "../acls.ts";
import type { BrokerAuthOptions } from "../broker-auth-http.ts";
import { watchCertificates } from "../certificate-watch.ts";
import { commandContext, type CommonOptions } from "../command-options.ts";
import { startCommandService } from "../command-service.ts";
import { ingressFor } from "../ingress-topics.ts";
import type { Config } from "../config/schema.ts";
import { CommandFailure } from "../failure.ts";
import { httpTokens } from "../http-tokens.ts";
import { startIngressHttp } from "../ingress-http.ts";
import { brokerAddress, mqttSettings } from "../mqtt-settings.ts";
import { kafkaTls, openKafka } from "../open-kafka.ts";
import { runService } from "../service.ts";
import { openOfflineDevices, startShadowService } from "../shadow-service.ts";
import { requireTopics } from "../topics/require-topics.ts";

/** `sluice ingress`: takes telemetry from MQTT to the raw topic, until it is told to stop. */
export async function run(options: CommonOptions): Promise<number> {
  const { config, logger } = commandContext(options);
  return runService(
    async (closers) => {
      const log = openKafka(config, logger);
      closers.push("kafka", () => log.close());
      const registry = new Registry();
      watchCertificates({ "kafka-client": kafkaTls(config), "mqtt-client": config.mqtt.tls }, registry, logger, closers);
      await requireTopics(log.admin, config);
      const { validation, admission, deviceRegistry, presence } = config;
      const mqtt = mqttSettings(config, logger);
      const replicaName = replicaNameOf(config);
      const beside: { shadow?: ShadowService } = {};
      const ingress = new IngressReplica({
        ...ingressFor(config, mqtt),
        log,
        validation,
        admission,
        deviceRegistry,
        presence,
        scaleOut: config.mqtt.scaleOut,
        group: {
          groupId: ingressGroup(config.applicationId),
          instanceId: config.instanceId,
          sessionTimeoutMs: config.kafka.sessionTimeoutMs,
        },
        rejected: (rejection) => beside.shadow?.tell(rejection),
        ingressId: replicaName,
        logger,
        registry,
      });
      closers.push("ingress", () => ingress.stop());
      const { http } = config.ingress;
      const doors = { auth: brokerAuth(config, ingress), authenticate: authenticator(httpTokens(config, logger)) };
      if (http !== undefined) await startIngressHttp(http, ingress, registry, logger, closers, doors);
      await ingress.start();
      const { slots } = ingress.stats();
      logger.info({ broker: brokerAddress(config), topics: mqtt.topics, replica: replicaName, slots }, "ingress takes telemetry");
      // After it: answers are kept in the ingress' session from then on.
      const offline = await openOfflineDevices(config, log, logger, closers);
      const own = { ...mqtt, clientId: replicaName };
      const commands = await startCommandService(config, own, log, registry, logger, closers, offline);
      beside.shadow = await startShadowService(config, own, log, registry, logger, closers, offline);
      const services = [ingress, commands, beside.shadow].flatMap((service) => (service === undefined ? [] : [service.finished]));
      return { finished: Promise.race(services) };
    },
    { logger },
  );
}

/** Different for each ingress that runs at one time. */
function replicaNameOf({ instanceId, mqtt: { clientId, scaleOut } }: Config): string {
  if (scaleOut === undefined) return clientId;
  const { replica } = scaleOut;
  return replica === undefined ? (instanceId ?? `${clientId}-${hostname()}-${process.pid}`) : `${clientId}-replica-${replica}`;
}

function brokerAuth({ ingress: { auth, http }, mqtt }: Config, ingress: IngressReplica): BrokerAuthOptions | undefined {
  if (auth === undefined) return undefined;
  const { secret, serviceUsers, maxPerSecond } = auth;
  if (http === undefined) throw new CommandFailure("no-http", "ingress.auth needs ingress.http");
  if (secret === undefined)
    throw new CommandFailure("no-secret", "ingress.auth needs a secret: ingress.auth.secretFile or SLUICE_INGRESS_AUTH_SECRET");
  const gateways = new Map(mqtt.gateways.map((gateway) => [gateway.user, new GatewayAccess(gateway)]));
  return { secret, serviceUsers, gateways, maxPerSecond, isDenied: (deviceKey) => ingress.isDenied(deviceKey) };
}
