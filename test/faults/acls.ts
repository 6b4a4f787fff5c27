/** Rights of one principal on a broker that asks for them: given and taken away as an administrator does, under load. */
import kafkajs, { Kafka as KafkaClient, logLevel, type AclEntry } from "kafkajs";
import type { Operation, Resource, Right } from "../../cli/acls.ts";
import type { Cleanup } from "../support/cleanup.ts";
import { startKafka, type Kafka } from "../support/kafka.ts";

// Node sees only some of the names this CommonJS package exports.
const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs;

const USER = "worker";
const PASSWORD = "of-the-worker";

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
 * A broker whose proxied listener asks for SASL PLAIN and for rights, as `saslClient` has them; on its plain listener, the
 * test's own, everything is allowed.
 */
export function startGuardedKafka(t: Cleanup): Promise<Kafka> {
  const login = `org.apache.kafka.common.security.plain.PlainLoginModule required user_${USER}="${PASSWORD}";`;
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

/** What a worker of the principal is configured with. */
export const saslClient = {
  config: { mechanism: "plain", username: USER },
  env: { SLUICE_KAFKA_SASL_PASSWORD: PASSWORD },
} as const;

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

  async grant(rights: readonly Right[]): Promise<void> {
    await this.#admin.createAcls({ acl: rights.map(entry) });
  }

  /** Rejects when it was not granted. */
  async revoke(right: Right): Promise<void> {
    const { filterResponses } = await this.#admin.deleteAcls({ filters: [entry(right)] });
    if (filterResponses[0]?.matchingAcls.length !== 1) throw new Error(`no right to ${right.operation} ${right.resource} ${right.name}`);
  }
}

function entry({ operation, resource, name, prefix }: Right): AclEntry {
  return {
    principal: `User:${USER}`,
    host: "*",
    permissionType: AclPermissionTypes.ALLOW,
    operation: OPERATIONS[operation],
    resourceType: RESOURCES[resource],
    resourceName: name,
    resourcePatternType: prefix === true ? ResourcePatternTypes.PREFIXED : ResourcePatternTypes.LITERAL,
  };
}
