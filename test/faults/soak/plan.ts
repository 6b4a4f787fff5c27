/** What happens in a round of the soak: decided beforehand, by the seed alone. */
import { API_KEYS } from "../../support/request-scanner.ts";
import type { RequestFault, Direction } from "../../support/broker-proxy.ts";
import type { Shape } from "../../support/shaped-pipe.ts";
import { seededRandom } from "../seeded-random.ts";

export const BROKERS = 3;
const FIRST_WORKERS = 3;
/** Fewer leave nobody to take over, more only share two cores among them. */
const MIN_WORKERS = 2;
const WORKERS = ["w1", "w2", "w3", "w4"];
/** Between two steps; faults last seconds themselves. */
const MAX_REST_MS = 4_000;
/** Down or frozen for up to so long: some restarts come before anybody noticed, some after others have taken over. */
const MAX_DOWN_MS = 9_000;
/** A frozen broker is given up by the controller after 9 s (broker.session.timeout.ms). */
const MAX_FREEZE_MS = 14_000;
const MAX_NETWORK_MS = 8_000;
/** Past the session time-out by up to this. */
const MAX_ZOMBIE_MS = 3_000;
/** What else happens in a step on average: its faults, which run at the same time. */
const STEP_MS = 9_000;

export type WorkerFaultKind = "worker-kill" | "worker-stop" | "worker-zombie" | "worker-blink" | "state-wiped" | "scale-up" | "scale-down";
export type BrokerFaultKind = "broker-kill" | "broker-stop" | "broker-freeze" | "coordinator-kill";
export type NetworkFaultKind = "latency" | "slow-drip" | "half-open" | "reset-all" | "refused" | "request-fault";
export type FaultKind = WorkerFaultKind | BrokerFaultKind | NetworkFaultKind;

export interface WorkerFault {
  readonly kind: WorkerFaultKind;
  readonly worker: string;
  /** How long it is down or frozen. */
  readonly ms: number;
}

export interface BrokerFault {
  readonly kind: BrokerFaultKind;
  /** 0-based; the coordinator is only known when the time comes. */
  readonly broker: number;
  readonly ms: number;
}

export interface NetworkFault {
  readonly kind: NetworkFaultKind;
  /** The proxies of these brokers. */
  readonly brokers: readonly number[];
  readonly direction: Direction | "both";
  readonly shape: Partial<Shape>;
  readonly request: { readonly key: keyof typeof API_KEYS; readonly fault: RequestFault };
  readonly ms: number;
}

export type Fault = WorkerFault | BrokerFault | NetworkFault;

/** Faults that happen at once, after a rest. */
export interface Step {
  readonly restMs: number;
  readonly faults: readonly Fault[];
}

export interface RoundPlan {
  readonly staticMembers: boolean;
  /** By worker: `mixed` has both in one application. */
  readonly engines: "level" | "rocksdb" | "mixed";
  readonly workers: readonly string[];
  readonly steps: readonly Step[];
}

const WORKER_KINDS: readonly WorkerFaultKind[] = [
  "worker-kill",
  "worker-kill",
  "worker-stop",
  "worker-zombie",
  "worker-blink",
  "state-wiped",
  "scale-up",
  "scale-down",
];
const BROKER_KINDS: readonly BrokerFaultKind[] = ["broker-kill", "broker-stop", "broker-freeze", "coordinator-kill"];
const NETWORK_KINDS: readonly NetworkFaultKind[] = ["latency", "slow-drip", "half-open", "reset-all", "refused", "request-fault"];
export const FAULT_KINDS: readonly FaultKind[] = [...new Set<FaultKind>([...WORKER_KINDS, ...BROKER_KINDS, ...NETWORK_KINDS])];
const REQUESTS = Object.keys(API_KEYS) as (keyof typeof API_KEYS)[];
const REQUEST_FAULTS: readonly RequestFault[] = ["lose-answer", "lose-request", "half"];

export function engineOf({ engines }: RoundPlan, worker: string): "level" | "rocksdb" {
  if (engines !== "mixed") return engines;
  return Number(worker.slice(1)) % 2 === 0 ? "rocksdb" : "level";
}

/** The same seed and length give the same plan. At most one broker and one network fault a step, and each worker once. */
export function planRound(seed: number, { seconds, sessionTimeoutMs }: { seconds: number; sessionTimeoutMs: number }): RoundPlan {
  const random = seededRandom(Math.imul(seed + 1, 0x9e3779b1)); // neighbouring seeds would begin alike
  const below = (limit: number): number => Math.floor(random() * limit);
  const pick = <T>(from: readonly T[]): T => from[below(from.length)];
  const workers = WORKERS.slice(0, FIRST_WORKERS);
  const first = [...workers];

  /** `there`: who is there when the step begins; `free`: of these, who has no fault yet. */
  const workerFault = (there: readonly string[], free: string[]): WorkerFault | undefined => {
    const kind = pick(WORKER_KINDS);
    if (kind === "scale-up") {
      const worker = WORKERS.find((name) => !workers.includes(name) && !there.includes(name));
      if (worker === undefined) return undefined;
      workers.push(worker);
      return { kind, worker, ms: 0 };
    }
    if (free.length === 0 || (kind === "scale-down" && workers.length <= MIN_WORKERS)) return undefined;
    const [worker] = free.splice(below(free.length), 1);
    if (kind === "scale-down") workers.splice(workers.indexOf(worker), 1);
    const ms = {
      "worker-kill": random() < 0.5 ? 0 : below(MAX_DOWN_MS),
      "worker-stop": random() < 0.5 ? 0 : below(MAX_DOWN_MS),
      "worker-zombie": sessionTimeoutMs + 500 + below(MAX_ZOMBIE_MS),
      "worker-blink": 100 + below(sessionTimeoutMs / 2),
      "state-wiped": below(MAX_DOWN_MS),
      "scale-down": 0,
    }[kind];
    return { kind, worker, ms };
  };
  const brokerFault = (): BrokerFault => {
    const kind = pick(BROKER_KINDS);
    return { kind, broker: below(BROKERS), ms: 200 + below(kind === "broker-freeze" ? MAX_FREEZE_MS : MAX_DOWN_MS) };
  };
  const networkFault = (): NetworkFault => {
    const kind = pick(NETWORK_KINDS);
    const shapes: Record<NetworkFaultKind, Partial<Shape>> = {
      latency: { latencyMs: 20 + below(180) },
      "slow-drip": { pieceBytes: 200 + below(4_000), pieceEveryMs: 1 + below(10) },
      "half-open": { stalled: true },
      "reset-all": {},
      refused: {},
      "request-fault": {},
    };
    return {
      kind,
      brokers: random() < 0.5 ? [0, 1, 2] : [below(BROKERS)],
      direction: pick(["up", "down", "both"]),
      shape: shapes[kind],
      request: { key: pick(REQUESTS), fault: pick(REQUEST_FAULTS) },
      ms: 200 + below(MAX_NETWORK_MS),
    };
  };

  const steps: Step[] = [];
  let left = seconds * 1_000;
  while (left > 0) {
    const restMs = below(MAX_REST_MS);
    const draw = random();
    const count = draw < 0.55 ? 1 : draw < 0.85 ? 2 : 3;
    const there = [...workers];
    const free = [...workers];
    const faults: Fault[] = [];
    const makers = [() => workerFault(there, free), brokerFault, networkFault, () => workerFault(there, free)];
    while (faults.length < count) {
      const [make] = makers.splice(below(makers.length), 1);
      const fault = make();
      if (fault !== undefined) faults.push(fault);
      if (makers.length === 0) break;
    }
    if (faults.length > 0) steps.push({ restMs, faults });
    left -= restMs + STEP_MS;
  }
  return { staticMembers: random() < 0.5, engines: pick(["level", "rocksdb", "mixed"]), workers: first, steps };
}
