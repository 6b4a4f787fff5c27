/** One broker's place in the cluster. */
export interface BrokerPlace {
  readonly nodeId: number;
  readonly port: number;
  readonly controllerPort: number;
  readonly dataDir: string;
  /** A second listener, advertised at another port than its own: that of a proxy before it. */
  readonly proxied?: { readonly port: number; readonly advertisedPort: number };
}

/**
 * server.properties of a combined broker and controller (KRaft) for tests: small, quick to rebalance, nothing off 127.0.0.1.
 * With three brokers everything internal is replicated three times with two in sync, as in production.
 */
export function serverProperties(
  place: BrokerPlace,
  cluster: readonly BrokerPlace[],
  extra: Readonly<Record<string, string>> = {},
): string {
  const replicas = String(Math.min(3, cluster.length));
  const inSync = cluster.length >= 3 ? "2" : "1";
  const { proxied } = place;
  const properties: Record<string, string> = {
    "process.roles": "broker,controller",
    "node.id": String(place.nodeId),
    "controller.quorum.voters": cluster.map((one) => `${one.nodeId}@127.0.0.1:${one.controllerPort}`).join(","),
    listeners: `PLAINTEXT://127.0.0.1:${place.port},CONTROLLER://127.0.0.1:${place.controllerPort}${proxied === undefined ? "" : `,PROXIED://127.0.0.1:${proxied.port}`}`,
    "advertised.listeners": `PLAINTEXT://127.0.0.1:${place.port}${proxied === undefined ? "" : `,PROXIED://127.0.0.1:${proxied.advertisedPort}`}`,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "log.dirs": place.dataDir,
    "default.replication.factor": replicas,
    "min.insync.replicas": inSync,
    "offsets.topic.replication.factor": replicas,
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": replicas,
    "transaction.state.log.min.isr": inSync,
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": replicas,
    "share.coordinator.state.topic.min.isr": inSync,
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    // Kafka's floor is 6 s; fail-over tests should not have to wait for it.
    "group.min.session.timeout.ms": "1000",
    "auto.create.topics.enable": "false",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.threads": "1",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "log.cleaner.backoff.ms": "1000",
    "log.retention.check.interval.ms": "5000",
    // Records of tests have times of long ago, and Kafka's retention goes by them: in the middle of a test it would take its output.
    "log.retention.ms": "-1",
    "controlled.shutdown.enable": cluster.length > 1 ? "true" : "false",
    ...extra,
  };
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${value}\n`)
    .join("");
}
