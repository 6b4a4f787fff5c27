/** Where devices connect: the listener, who is let in, and the sessions there are. */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, TLSSocket, type Server as TlsServer, type TlsOptions } from "node:tls";
import type { IConnectPacket } from "mqtt-packet";
import { deviceMay } from "../device-access.ts";
import { RecentMap } from "../recent-map.ts";
import { DeviceSession } from "./device-session.ts";
import { HeldWills } from "./held-wills.ts";
import type { DeviceMessage } from "./message.ts";
import type { Readers } from "./readers.ts";
import { newMemory, type Identity, type SessionCounters, type SessionHost, type SessionMemory } from "./session-host.ts";
import type { DevicePortSettings, DownlinkSettings } from "./settings.ts";
import type { Done, Store } from "./store.ts";

/** Who may connect. A name is `{tenant}/d/{deviceId}` (device-access.ts), which binds it to its topics. */
export interface DoorKeepers {
  /** Absent: no passwords. */
  readonly passwords?: { check(name: string, password: Uint8Array): boolean };
  /** Certificates are asked for, and their CN is the name. */
  readonly clientCertificates: boolean;
  /** Without a name or certificate: anybody, on any topic. */
  readonly anonymous: boolean;
}

/** TLS as files are now; `version` changes with them. */
export interface TlsSource {
  version(): number;
  current(): Pick<TlsOptions, "ca" | "cert" | "key">;
}

/** What comes down to devices. */
export interface PortDownlink {
  readonly settings: DownlinkSettings;
  readonly readers: Readers;
}

/** A connection that does not say who it is. ms. */
const CONNECT_TIMEOUT_MS = 10_000;
const SWEEP_MS = 1_000;
const CLOSE_TIMEOUT_MS = 1_000;
/** Sessions remembered while their device is away: about 200 bytes each, without a QoS 2 message under way. */
const MAX_SESSIONS = 20_000;

export class DevicePort implements SessionHost {
  readonly counters: SessionCounters = {
    received: [0, 0, 0],
    acked: 0,
    shed: 0,
    denied: 0,
    deniedSubscriptions: 0,
    refusedConnections: 0,
    protocolErrors: 0,
  };
  readonly #settings: DevicePortSettings;
  readonly #keepers: DoorKeepers;
  readonly #store: Store;
  readonly #tls: TlsSource | undefined;
  readonly #down: PortDownlink | undefined;
  readonly #server: Server | TlsServer;
  readonly #sessions = new Set<DeviceSession>();
  /** By name and client id. */
  readonly #connected = new Map<string, DeviceSession>();
  readonly #remembered = new RecentMap<SessionMemory>(MAX_SESSIONS);
  readonly #wills = new HeldWills((will) => this.offer(will, () => undefined));
  #tlsVersion = 0;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(settings: DevicePortSettings, keepers: DoorKeepers, store: Store, tls?: TlsSource, down?: PortDownlink) {
    this.#settings = settings;
    this.#keepers = keepers;
    this.#store = store;
    this.#tls = tls;
    this.#down = down;
    const taken = (socket: Socket): void => this.#take(socket);
    if (tls === undefined) this.#server = createServer({ noDelay: true, keepAlive: true }, taken);
    else {
      this.#tlsVersion = tls.version();
      const { clientCertificates, anonymous, passwords } = keepers;
      const isRequired = clientCertificates && !anonymous && passwords === undefined;
      this.#server = createTlsServer(
        { ...tls.current(), minVersion: "TLSv1.2", requestCert: clientCertificates, rejectUnauthorized: isRequired },
        taken,
      );
      this.#server.on("tlsClientError", () => void this.counters.refusedConnections++);
    }
    this.#server.maxConnections = settings.maxConnections;
    this.#server.on("drop", () => void this.counters.refusedConnections++);
  }

  /** Resolves with the port. Rejects with the socket's error, e.g. EADDRINUSE. */
  async listen(): Promise<number> {
    const { host, port } = this.#settings;
    this.#server.listen(port, host);
    await once(this.#server, "listening");
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref();
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : port;
  }

  get connections(): number {
    return this.#sessions.size;
  }

  /** Nothing more is read; what was taken is acknowledged as far as the store has it by then. Sessions end, so held wills are published. */
  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    for (const session of this.#sessions) session.shutDown();
    this.#wills.publishDue(Infinity);
    // Whoever does not read what was sent to it gets no goodbye.
    const timer = setTimeout(() => {
      for (const { socket } of this.#sessions) socket.destroy();
    }, CLOSE_TIMEOUT_MS);
    if (this.#server.listening) await new Promise((done) => this.#server.close(done));
    clearTimeout(timer);
  }

  get maxPacketBytes(): number {
    return this.#settings.maxPacketBytes;
  }

  get window(): number {
    return this.#settings.window;
  }

  get downlink(): DownlinkSettings | undefined {
    return this.#down?.settings;
  }

  get hasRoom(): boolean {
    return this.#store.hasRoom;
  }

  whenRoom(listener: () => void): void {
    this.#store.whenRoom(listener);
  }

  offer(message: DeviceMessage, done: Done): void {
    this.#store.offer(message, done);
  }

  leaveWill(session: DeviceSession, will: DeviceMessage, delayMs: number): void {
    if (delayMs > 0) this.#wills.hold(sessionKey(session), will, performance.now() + delayMs);
    else this.offer(will, () => undefined);
  }

  login({ username, password }: IConnectPacket, socket: Socket): Identity | undefined {
    const { passwords, clientCertificates, anonymous } = this.#keepers;
    if (clientCertificates && socket instanceof TLSSocket && socket.authorized) {
      const name = socket.getPeerCertificate().subject.CN;
      if (typeof name === "string" && name !== "") return { name };
    }
    if (username !== undefined && passwords !== undefined)
      return passwords.check(username, password ?? Buffer.alloc(0)) ? { name: username } : undefined;
    return anonymous ? { name: undefined } : undefined;
  }

  mayPublish({ name }: Identity, topic: string): boolean {
    return name === undefined || deviceMay(name, "publish", topic);
  }

  /** Without a name a client is nobody's device, and has no topics of its own. */
  maySubscribe({ name }: Identity, filter: string): boolean {
    return this.#down !== undefined && name !== undefined && deviceMay(name, "subscribe", filter);
  }

  subscribed(session: DeviceSession, topic: string): void {
    this.#down?.readers.add(session, topic);
  }

  unsubscribed(session: DeviceSession, topic: string): void {
    this.#down?.readers.remove(session, topic);
  }

  opened(session: DeviceSession, clean: boolean): boolean {
    const key = sessionKey(session);
    this.#connected.get(key)?.takenOver();
    this.#connected.set(key, session);
    const remembered = clean ? undefined : this.#remembered.get(key);
    const isPresent = remembered !== undefined && remembered.lifeMs > 0 && performance.now() < remembered.endsAtMs;
    // A session that is not gone on with has ended: its will comes before anything of the new one.
    if (isPresent) this.#wills.forget(key);
    else this.#wills.publishNow(key);
    session.memory = isPresent ? remembered : newMemory();
    session.memory.endsAtMs = Infinity;
    this.#remembered.set(key, session.memory);
    return isPresent;
  }

  closed(session: DeviceSession): void {
    this.#sessions.delete(session);
    for (const topic of session.memory.subscriptions.keys()) this.#down?.readers.remove(session, topic);
    const key = sessionKey(session);
    if (this.#connected.get(key) !== session) return;
    this.#connected.delete(key);
    session.memory.endsAtMs = performance.now() + session.memory.lifeMs;
  }

  #take(socket: Socket): void {
    this.#sessions.add(new DeviceSession(socket, this));
  }

  #sweep(): void {
    const now = performance.now();
    for (const session of this.#sessions) session.checkAlive(now, CONNECT_TIMEOUT_MS);
    this.#wills.publishDue(now);
    const tls = this.#tls;
    if (tls === undefined || tls.version() === this.#tlsVersion) return;
    this.#tlsVersion = tls.version();
    (this.#server as TlsServer).setSecureContext(tls.current());
  }
}

/** The name too: another device's client id is not this one's. */
function sessionKey({ identity, clientId }: DeviceSession): string {
  return `${identity.name ?? ""}\n${clientId}`;
}
