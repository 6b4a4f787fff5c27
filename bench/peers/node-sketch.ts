/**
 * The bridge that a Node engineer writes who knows where messages get lost: MQTT.js with PUBACKs held back until the producer of kafkajs
 * has its batch durable, batches of 5 ms. A peer of bench/ingress.ts; not a part of Sluice. QoS 1; no limits, checks or faults.
 *
 *     node bench/peers/node-sketch.ts MQTT_URL CLIENT_ID KAFKA TOPIC
 */
import { Kafka, logLevel } from "kafkajs";
import { connect, type IPublishPacket, type MqttClient } from "mqtt";

const [, , url, clientId, broker, topic] = process.argv;
const BATCH_MS = 5;
const MAX_BATCH = 5_000;
const WINDOW = 10_000;

interface Waiting {
  readonly messageId: number | undefined;
  readonly key: string;
  readonly value: Buffer;
}

/** The one private hook: what handleMessage does not acknowledge itself has to be acknowledged past the client. */
interface PacketSender {
  _sendPacket(packet: { cmd: "puback"; messageId: number }): void;
}

const producer = new Kafka({ clientId, brokers: [broker], logLevel: logLevel.ERROR }).producer({
  idempotent: true,
  maxInFlightRequests: 1,
});
await producer.connect();

let waiting: Waiting[] = [];
let isSending = false;
let timer: NodeJS.Timeout | undefined;
const client: MqttClient = connect(url, {
  protocolVersion: 5,
  clientId,
  clean: false,
  properties: { sessionExpiryInterval: 3_600, receiveMaximum: WINDOW },
});

/** An error as answer: the client goes on with the next message and acknowledges nothing. */
client.handleMessage = (packet: IPublishPacket, callback) => {
  const [, tenant, , deviceId] = packet.topic.split("/");
  waiting.push({ messageId: packet.messageId, key: `${tenant}|${deviceId}`, value: packet.payload as Buffer });
  timer ??= setTimeout(() => void send(), BATCH_MS);
  callback(new Error("acknowledged later"));
};

async function send(): Promise<void> {
  timer = undefined;
  if (isSending || waiting.length === 0) return;
  isSending = true;
  const batch = waiting.slice(0, MAX_BATCH);
  waiting = waiting.slice(MAX_BATCH);
  await producer.send({ topic, acks: -1, messages: batch.map(({ key, value }) => ({ key, value })) });
  for (const { messageId } of batch)
    if (messageId !== undefined) (client as unknown as PacketSender)._sendPacket({ cmd: "puback", messageId });
  isSending = false;
  if (waiting.length > 0) timer ??= setTimeout(() => void send(), waiting.length >= MAX_BATCH ? 0 : BATCH_MS);
}

client.on("connect", () => {
  client.subscribe("t/+/d/+/telemetry", { qos: 1 });
});

process.once("SIGTERM", () => {
  client.end(true, () => void producer.disconnect().then(() => process.exit(0)));
});
