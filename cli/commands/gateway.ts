import { authenticator } from "../../api/auth.ts";
import { targetTopics } from "../ingress-topics.ts";
import { httpTokens } from "../http-tokens.ts";
import { readFileSync } from "node:fs";
import type { Logger } from "pino";
import { Registry } from "prom-client";
import type { DoorKeepers, TlsSource } from "../../bridge/edge/device-port.ts";
import { Gateway, type GatewayStats } from "../../bridge/edge/gateway.ts";
import { GatewayPresence } from "../../bridge/edge/gateway-presence.ts";
import { KafkaTarget } from "../../bridge/edge/kafka-target.ts";
import { MqttTarget } from "../../bridge/edge/mqtt-target.ts";
import { PasswordFile } from "../../bridge/edge/password-file.ts";
import type { UplinkTarget } from "../../bridge/edge/uplink.ts";
import { watchCertificates, type WatchedFiles } from "../certificate-watch.ts";
import { commandContext, type CommonOptions } from "../command-options.ts";
import type { Config } from "../config/schema.ts";
import { CommandFailure } from "../failure.ts";
import { startHealthHttp } from "../health-http.ts";
import { brokerAddress, mqttSettings } from "../mqtt-settings.ts";
import { kafkaTls, openKafka } from "../open-kafka.ts";
import { Reloaded } from "../reloaded.ts";
import { runService } from "../service.ts";
import { readTlsFiles, tlsFileNames } from "../tls-files.ts";

/** `sluice gateway`: devices' MQTT to a store on disk, and from there to Kafka or a broker whenever that can be reached. */
export async function run(options: CommonOptions): Promise<number> {
  const { config, logger } = commandContext(options);
  const { id, listen, store, uplink, downlink, http } = config.gateway;
  return runService(
    async (closers) => {
      const registry = new Registry();
      watchCertificates({ ...uplinkTls(config), "gateway-server": listen.tls }, registry, logger, closers);
      const { target, presence } = uplinkTarget(config, logger);
      const gateway = await Gateway.start({
        id,
        port: listen,
        keepers: doorKeepers(config, logger),
        tls: tlsSource(config, logger),
        store,
        uplink,
        target,
        presence,
        downlink: downlink && { mqtt: mqttSettings(config, logger), settings: downlink },
        templates: config.admission.templates,
        logger,
        registry,
      });
      closers.push("gateway", () => gateway.stop());
      const healthPort =
        http === undefined
          ? undefined
          : await startHealthHttp(
              http,
              { notReady: () => notReady(gateway.stats()), registry, logger, authenticate: authenticator(httpTokens(config, logger)) },
              closers,
            );
      const to = uplink.to === "kafka" ? (config.kafka.brokers ?? []).join(",") : brokerAddress(config);
      const { messages } = gateway.stats().store;
      logger.info({ host: listen.host, port: gateway.port, uplink: uplink.to, to, http: healthPort, messages }, "gateway takes telemetry");
      return { finished: gateway.finished };
    },
    { logger },
  );
}

/** The uplink may be down: that is what a gateway is for. */
function notReady({ store: { state, diskFull } }: GatewayStats): string | undefined {
  if (diskFull) return "the disk is nearly full";
  return state === "open" ? undefined : "the store cannot be written";
}

/** With an MQTT uplink presence is followed by an ingress. */
function uplinkTarget(config: Config, logger: Logger): { target: UplinkTarget; presence?: GatewayPresence } {
  const { id, uplink } = config.gateway;
  if (uplink.to === "mqtt") return { target: new MqttTarget({ mqtt: mqttSettings(config, logger), gatewayId: id, logger }) };
  const log = openKafka(config, logger);
  const presence = config.presence && new GatewayPresence(config.presence, log, id, logger);
  const { admission } = config;
  return { target: new KafkaTarget({ log, topics: targetTopics(config), admission, gatewayId: id, presence }), presence };
}

function uplinkTls(config: Config): WatchedFiles {
  return config.gateway.uplink.to === "mqtt" ? { "mqtt-client": config.mqtt.tls } : { "kafka-client": kafkaTls(config) };
}

function doorKeepers({ gateway: { listen } }: Config, logger: Logger): DoorKeepers {
  const { passwordsFile, clientCertificates, anonymous } = listen;
  if (passwordsFile === undefined && !clientCertificates && !anonymous)
    throw new CommandFailure(
      "nobody-may-connect",
      "gateway.listen lets nobody in: set passwordsFile, clientCertificates, or anonymous: true where only trusted devices can reach it",
    );
  if (passwordsFile === undefined) return { clientCertificates, anonymous };
  const file = new Reloaded([passwordsFile], () => new PasswordFile(readFileSync(passwordsFile, "utf8")), logger);
  return { clientCertificates, anonymous, passwords: { check: (name, password) => file.current.check(name, password) } };
}

function tlsSource({ gateway: { listen } }: Config, logger: Logger): TlsSource | undefined {
  const { tls } = listen;
  if (tls === undefined) return undefined;
  const reloaded = new Reloaded(tlsFileNames(tls), () => readTlsFiles(tls), logger);
  return { version: () => reloaded.version, current: () => reloaded.current };
}
