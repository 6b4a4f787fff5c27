/** Rights of principals on a broker that asks for them: given and taken away as an administrator does, under load. */
import kafkajs, { Kafka as KafkaClient, logLevel, type AclEntry } from "kafkajs";
import type { Operation, Resource, Right } from "../../cli/acls.ts";
import type { Cleanup } from "../support/cleanup.ts";
import { startKafka, type Kafka } from "../support/kafka.ts";

// Node sees only some of the names this CommonJS package exports.
const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs;

export type User = "worker" | "ingress";
const PASSWORDS: Readonly<Record<User, string>> = { worker: "of-the-worker", ingress: "of-the-ingress" };

const RESOURCES: Readonly<Record<Resource, number>> = {
  Topic: AclResourceTypes.TOPIC,
  Group: AclResourceTypes.GROUP,
  TransactionalId: AclResourceTypes.TRANSACTIONAL_ID,
};
const OPERATIONS: Readonly<Record<Operation, number>> = {
  Read: AclOperationTypes.READ,
  Write: AclOperationTypes.WRITE,
  Create: AclOperationTypes.CREATE,
  Describe: AclOperationTypes.DESCRIBE,
  DescribeConfigs: AclOperationTypes.DESCRIBE_CONFIGS,
};

/**
 * A broker whose proxied listener asks for SASL PLAIN and for rights, as saslClientOf() has them; on its plain listener, the
 * test's own, everything is allowed.
 */
export function startGuardedKafka(t: Cleanup): Promise<Kafka> {
  const users = Object.entries(PASSWORDS).map(([user, password]) => `user_${user}="${password}"`);
  const login = `org.apache.kafka.common.security.plain.PlainLoginModule required ${users.join(" ")};`;
  return startKafka(t, {
    proxied: true,
    config: {
      "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:SASL_PLAINTEXT",
      "listener.name.proxied.sasl.enabled.mechanisms": "PLAIN",
      "listener.name.proxied.plain.sasl.jaas.config": login,
      "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
      "super.users": "User:ANONYMOUS",
    },
  });
}

/** What a service of the principal is configured with. */
export function saslClientOf(user: User): { config: { mechanism: "plain"; username: User }; env: Record<string, string> } {
  return { config: { mechanism: "plain", username: user }, env: { SLUICE_KAFKA_SASL_PASSWORD: PASSWORDS[user] } };
}

export class Acls {
  readonly #admin: ReturnType<KafkaClient["admin"]>;

  static async connect(t: Cleanup, kafka: Kafka): Promise<Acls> {
    const client = new KafkaClient({ brokers: kafka.bootstrap, clientId: "acls", logLevel: logLevel.NOTHING });
    const admin = client.admin();
    await admin.connect();
    t.after(() => admin.disconnect());
    return new Acls(admin);
  }

  private constructor(admin: ReturnType<KafkaClient["admin"]>) {
    this.#admin = admin;
  }

  async grant(rights: readonly Right[], user = "worker"): Promise<void> {
    await this.#admin.createAcls({ acl: rights.map((right) => entry(right, user)) });
  }

  /** Rejects when it was not granted. */
  async revoke(right: Right, user = "worker"): Promise<void> {
    const { filterResponses } = await this.#admin.deleteAcls({ filters: [entry(right, user)] });
    if (filterResponses[0]?.matchingAcls.length !== 1) throw new Error(`no right to ${right.operation} ${right.resource} ${right.name}`);
  }
}

function entry({ operation, resource, name, prefix }: Right, user: string): AclEntry {
  return {
    principal: `User:${user}`,
    host: "*",
    permissionType: AclPermissionTypes.ALLOW,
    operation: OPERATIONS[operation],
    resourceType: RESOURCES[resource],
    resourceName: name,
    resourcePatternType: prefix === true ? ResourcePatternTypes.PREFIXED : ResourcePatternTypes.LITERAL,
  };
}
