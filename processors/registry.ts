/** Calls to a Confluent-compatible schema registry, each with a time-out: the client itself waits for ever. */
import confluent from "@kafkajs/confluent-schema-registry";
import { RegistryError } from "./errors.ts";
import type { SchemaRegistrySettings } from "./settings.ts";

const { SchemaRegistry, SchemaType, COMPATIBILITY } = confluent;

/** A schema made ready for synchronous use; avsc's Type for Avro. */
export interface SchemaCodec {
  /** Throws on a value that does not fit. */
  toBuffer(value: object): Buffer;
  /** Throws on bytes that do not fit. */
  fromBuffer(bytes: Buffer): unknown;
}

export interface RegisteredSchema {
  readonly id: number;
  readonly codec: SchemaCodec;
}

export class Registry {
  readonly #client: InstanceType<typeof SchemaRegistry>;
  readonly #settings: SchemaRegistrySettings;

  constructor(settings: SchemaRegistrySettings) {
    const { url, username, password } = settings;
    const auth = username === undefined ? undefined : { username, password: password ?? "" };
    // Retries are the caller's: those of the client would multiply with the time-out.
    this.#client = new SchemaRegistry({ host: url, clientId: "sluice", auth, retry: { retries: 0 } });
    this.#settings = settings;
  }

  /** Registers an Avro schema under the subject, compatibility BACKWARD. RegistryError otherwise. */
  async register(subject: string, schema: string): Promise<RegisteredSchema> {
    try {
      const { id } = await this.#within(
        this.#client.register({ type: SchemaType.AVRO, schema }, { subject, compatibility: COMPATIBILITY.BACKWARD }),
      );
      return { id, codec: await this.#within(this.#client.getSchema(id)) };
    } catch (error) {
      const message = messageOf(error);
      const refused = statusOf(error) === 409 || statusOf(error) === 422 || message.startsWith("Compatibility does not match");
      if (refused)
        throw new RegistryError(
          "schema-incompatible",
          `the registry at ${this.#settings.url} refuses the schema of subject "${subject}": ${message}`,
          error,
        );
      throw this.#unavailable(`registering the schema of subject "${subject}"`, error);
    }
  }

  /** Undefined when the registry does not know the id. RegistryError `registry-unavailable` when it does not say. */
  async find(id: number): Promise<SchemaCodec | undefined> {
    try {
      return await this.#within(this.#client.getSchema(id));
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw this.#unavailable(`fetching schema ${id}`, error);
    }
  }

  #unavailable(what: string, error: unknown): RegistryError {
    return new RegistryError(
      "registry-unavailable",
      `${what} at the schema registry ${this.#settings.url} failed: ${messageOf(error)}`,
      error,
    );
  }

  #within<T>(call: Promise<T>): Promise<T> {
    const { timeoutMs } = this.#settings;
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
      call.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }
}

function statusOf(error: unknown): number | undefined {
  return typeof error === "object" && error !== null && "status" in error && typeof error.status === "number" ? error.status : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
