import { Registry } from "prom-client";
import { Ingress } from "../../bridge/ingress.ts";
import { commandContext, type CommonOptions } from "../command-options.ts";
import { ingressFor, startCommandService } from "../command-service.ts";
import { startIngressHttp } from "../ingress-http.ts";
import { brokerAddress, mqttSettings } from "../mqtt-settings.ts";
import { openKafka } from "../open-kafka.ts";
import { runService } from "../service.ts";
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
      const { validation } = config;
      const mqtt = mqttSettings(config, logger);
      const ingress = new Ingress({
        ...ingressFor(config, mqtt),
        log,
        validation,
        ingressId: config.mqtt.clientId,
        logger,
        registry,
      });
      closers.push("ingress", () => ingress.stop());
      if (config.ingress.http !== undefined) await startIngressHttp(config.ingress.http, ingress, registry, logger, closers);
      await ingress.start();
      logger.info({ broker: brokerAddress(config), topics: config.mqtt.topics }, "ingress takes telemetry");
      // After it: answers are kept in the ingress' session from then on.
      const commands = await startCommandService(config, mqtt, log, registry, logger, closers);
      return { finished: commands?.finished };
    },
    { logger },
  );
}
