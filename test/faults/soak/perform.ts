/** Makes the faults of a plan happen. Each resolves when it is over: the worker restarted, the broker back, the network calm. */
import { rmSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Kafka } from "../../support/kafka.ts";
import { API_KEYS } from "../../support/request-scanner.ts";
import type { JobUnderFaults } from "../job-under-faults.ts";
import type { Coordinators } from "./coordinators.ts";
import type { BrokerFault, Fault, NetworkFault, WorkerFault } from "./plan.ts";

export interface Scene {
  readonly job: JobUnderFaults;
  readonly kafka: Kafka;
  readonly coordinators: Coordinators;
}

export function perform(fault: Fault, scene: Scene): Promise<void> {
  if ("worker" in fault) return performOnWorker(fault, scene);
  return "broker" in fault ? performOnBroker(fault, scene) : performOnNetwork(fault, scene);
}

export function describeFault(fault: Fault): string {
  if ("worker" in fault) return `${fault.kind} ${fault.worker} for ${fault.ms} ms`;
  if ("broker" in fault) return `${fault.kind} ${fault.broker} for ${fault.ms} ms`;
  const where = `at ${fault.brokers.join()} for ${fault.ms} ms`;
  if (fault.kind === "request-fault") return `${fault.request.key} ${fault.request.fault} ${where}`;
  return `${fault.kind} ${fault.direction} ${JSON.stringify(fault.shape)} ${where}`;
}

async function performOnWorker({ kind, worker, ms }: WorkerFault, { job }: Scene): Promise<void> {
  const { fleet } = job;
  switch (kind) {
    case "worker-kill":
      await fleet.kill(worker);
      break;
    case "worker-stop":
      await fleet.stop(worker);
      break;
    case "state-wiped":
      await fleet.kill(worker);
      rmSync(job.stateDir(worker), { recursive: true, force: true });
      break;
    case "worker-zombie":
    case "worker-blink":
      fleet.get(worker).freeze();
      await delay(ms);
      fleet.get(worker).thaw();
      return;
    case "scale-down":
      return fleet.stop(worker);
    case "scale-up":
      return fleet.start(worker);
  }
  await delay(ms);
  await fleet.start(worker);
}

async function performOnBroker({ kind, broker, ms }: BrokerFault, { kafka, coordinators }: Scene): Promise<void> {
  switch (kind) {
    case "broker-freeze": {
      const pid = kafka.pids[broker];
      process.kill(pid, "SIGSTOP");
      await delay(ms);
      process.kill(pid, "SIGCONT");
      break;
    }
    case "broker-stop":
      await kafka.stop(broker);
      await delay(ms);
      break;
    case "broker-kill":
      await kafka.kill(broker);
      await delay(ms);
      break;
    case "coordinator-kill":
      await kafka.kill(await coordinators.find(broker % 2 === 0 ? "group" : "transaction"));
      await delay(ms);
      break;
  }
  await kafka.restart();
  await coordinators.count();
}

async function performOnNetwork({ kind, brokers, direction, shape, request, ms }: NetworkFault, { kafka }: Scene): Promise<void> {
  const proxies = brokers.map((broker) => kafka.proxies[broker]);
  for (const proxy of proxies) {
    if (kind === "request-fault") proxy.failEvery(API_KEYS[request.key], request.fault);
    else if (kind === "reset-all") proxy.cut();
    else if (kind === "refused") proxy.refuse();
    else proxy.shape(direction, shape);
  }
  if (kind === "reset-all") return;
  await delay(ms);
  for (const proxy of proxies) proxy.calm();
}
