/** The event log on Kafka: hands out readers, writers and group members that share one view of the cluster. */
import type {
  Admin,
  EventLog,
  GroupMember,
  GroupOptions,
  LogReader,
  PlainWriter,
  PlainWriterOptions,
  ReaderOptions,
  TxnWriter,
} from "../port.ts";
import { KafkaAdmin } from "./admin.ts";
import { Cluster } from "./connection/cluster.ts";
import { connectionSettings, parseAddress, type KafkaLogOptions } from "./connection/options.ts";
import { retrying } from "./connection/retry.ts";
import { KafkaGroupMember } from "./group/kafka-group-member.ts";
import { KafkaReader } from "./reader/kafka-reader.ts";
import { KafkaPlainWriter } from "./writer/kafka-plain-writer.ts";
import { KafkaTxnWriter, type TxnWriterOptions } from "./writer/kafka-txn-writer.ts";

/** Long enough for a broker that restarts, short enough for a start-up that should say what is wrong. */
const METADATA_TIMEOUT_MS = 15_000;

/** Connects lazily: the first call that needs a broker does. Close what it handed out before closing it. */
export class KafkaLog implements EventLog {
  readonly admin: Admin;
  readonly #options: KafkaLogOptions;
  readonly #cluster: Cluster;
  readonly #admin: KafkaAdmin;

  constructor(options: KafkaLogOptions) {
    this.#options = options;
    this.#cluster = new Cluster(options.brokers.map(parseAddress), connectionSettings(options));
    this.#admin = new KafkaAdmin(this.#cluster);
    this.admin = this.#admin;
  }

  reader(options: ReaderOptions): LogReader {
    return new KafkaReader(this.#cluster, options, this.#options.logger);
  }

  txnWriter(options: TxnWriterOptions): TxnWriter {
    return new KafkaTxnWriter(this.#cluster, options);
  }

  plainWriter(options: PlainWriterOptions): PlainWriter {
    return new KafkaPlainWriter(this.#cluster, options, this.#options.logger);
  }

  group(options: GroupOptions): GroupMember {
    return new KafkaGroupMember(this.#cluster, options, this.#options.logger);
  }

  partitionCount(topic: string): Promise<number> {
    return retrying({ withinMs: METADATA_TIMEOUT_MS }, () => this.#cluster.partitionCount(topic));
  }

  async close(): Promise<void> {
    await this.#admin.close();
    await this.#cluster.close();
  }
}
