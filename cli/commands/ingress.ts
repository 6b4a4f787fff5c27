import { Registry } from "prom-client";
import { Ingress } from "../../bridge/ingress.ts";
import type { BrokerAuthOptions } from "../broker-auth-http.ts";
import { commandContext, type CommonOptions } from "../command-options.ts";
import { ingressFor, startCommandService } from "../command-service.ts";
import type { Config } from "../config/schema.ts";
import { CommandFailure } from "../failure.ts";
import { startIngressHttp } from "../ingress-http.ts";
import { brokerAddress, mqttSettings } from "../mqtt-settings.ts";
import { openKafka } from "../open-kafka.ts";
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
      await requireTopics(log.admin, config);
      const { validation, admission, deviceRegistry, presence } = config;
      const mqtt = mqttSettings(config, logger);
      const ingress = new Ingress({
        ...ingressFor(config, mqtt),
        log,
        validation,
        admission,
        deviceRegistry,
        presence,
        ingressId: config.mqtt.clientId,
        logger,
        registry,
      });
      closers.push("ingress", () => ingress.stop());
      const { http } = config.ingress;
      const auth = brokerAuth(config, ingress);
      if (http !== undefined) await startIngressHttp(http, ingress, registry, logger, closers, auth);
      await ingress.start();
      logger.info({ broker: brokerAddress(config), topics: mqtt.topics }, "ingress takes telemetry");
      // After it: answers are kept in the ingress' session from then on.
      const offline = await openOfflineDevices(config, log, logger, closers);
      const commands = await startCommandService(config, mqtt, log, registry, logger, closers, offline);
      const shadow = await startShadowService(config, mqtt, log, registry, logger, closers, offline);
      const services = [commands, shadow].flatMap((service) => (service === undefined ? [] : [service.finished]));
      return services.length === 0 ? {} : { finished: Promise.race(services) };
    },
    { logger },
  );
}

function brokerAuth({ ingress: { auth, http } }: Config, ingress: Ingress): BrokerAuthOptions | undefined {
  if (auth === undefined) return undefined;
  const { secret, serviceUsers, maxPerSecond } = auth;
  if (http === undefined) throw new CommandFailure("no-http", "ingress.auth needs ingress.http");
  if (secret === undefined)
    throw new CommandFailure("no-secret", "ingress.auth needs a secret: ingress.auth.secretFile or SLUICE_INGRESS_AUTH_SECRET");
  return { secret, serviceUsers, maxPerSecond, isDenied: (deviceKey) => ingress.isDenied(deviceKey) };
}
