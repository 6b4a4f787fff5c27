import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { EXIT } from "./exit-codes.ts";
import type { CommonOptions } from "./command-options.ts";
import type { DoctorOptions } from "./commands/doctor.ts";
import type { MqttAclOptions } from "./commands/mqtt-acl.ts";
import type { ReplayOptions } from "./commands/replay.ts";
import type { ResetOptions } from "./commands/reset.ts";
import type { SimulateCommandOptions } from "./commands/simulate.ts";
import type { WorkerCommandOptions } from "./commands/worker.ts";
import { buildDlqProgram } from "./dlq/program.ts";
import { parseLogPosition, type LogPosition } from "./log-position.ts";
import { addDeviceCommands } from "./program-commands.ts";
import { addShadowCommands } from "./program-shadow.ts";
import { version } from "./version.ts";

/** `sluice` with all its commands. A command's code is loaded when it is used. `done` gets the exit code. */
export function buildProgram(done: (exitCode: number) => void): Command {
  const program = new Command("sluice")
    .description("Device telemetry on MQTT into clean, deduplicated, windowed streams on Kafka")
    .version(version())
    .showHelpAfterError("(--help says more)")
    .addHelpText(
      "after",
      `\nExit codes: ${EXIT.ok} done, ${EXIT.failure} failed, ${EXIT.usage} wrong usage or configuration.\nEvery setting has an environment variable: docs/configuration.md.`,
    )
    .exitOverride();

  const commandOf = (parent: Command, name: string, description: string): Command =>
    parent
      .command(name)
      .description(description)
      .option("-c, --config <file>", "YAML configuration file")
      .option("--json", "JSON lines instead of text on stdout");
  const command = (name: string, description: string): Command => commandOf(program, name, description);

  command("demo", "everything in one process: broker, log, a simulated fleet, worker, dashboard").action(async (options: CommonOptions) => {
    done(await (await import("./commands/demo.ts")).run(options));
  });
  command("ingress", "MQTT telemetry into the raw topic, acknowledged when Kafka has it")
    .option("--retire <clientId>", "only empty this session, which no ingress has any more, and end it")
    .action(async ({ retire, ...options }: CommonOptions & { retire?: string }) => {
      if (retire === undefined) done(await (await import("./commands/ingress.ts")).run(options));
      else done(await (await import("./commands/ingress-retire.ts")).run(retire, options));
    });
  command("worker", "process telemetry on Kafka and serve the HTTP API and dashboard")
    .option("--workers <n>", "processes on this host that share the work; auto: one for each core (default: processing.workers)")
    .addOption(new Option("--supervised <index>", "started by a supervisor").hideHelp().argParser(Number))
    .action(async (options: WorkerCommandOptions) => {
      done(await (await import("./commands/worker.ts")).run(options));
    });
  command("gateway", "devices' MQTT to a store on disk, forwarded to Kafka or a broker whenever it can be reached").action(
    async (options: CommonOptions) => {
      done(await (await import("./commands/gateway.ts")).run(options));
    },
  );
  const number = (text: string): number => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("must be a number");
    return value;
  };
  command("simulate", "devices that do not exist, or a recording, over MQTT")
    .option("--url <url>", "the MQTT broker (default: mqtt.url of the configuration)")
    .option("--tenant <name>", "tenant of the devices", "demo")
    .addOption(new Option("--qos <qos>", "of the messages").choices(["0", "1", "2"]).default("1"))
    .option("--devices <n>", "how many", number)
    .option("--rate <n>", "messages a second over the whole fleet; 0: as fast as the broker takes them", number)
    .option("--count <n>", "messages in all (default: without end)", number)
    .option("--duration-s <s>", "seconds in all", number)
    .option("--duplicates <share>", "share of messages sent twice, 0 to 0.9", number)
    .option("--reorder <share>", "share of messages overtaken by later ones", number)
    .option("--gaps <share>", "share of messages before which some were lost", number)
    .option("--reboots <share>", "share of messages that are the first of a new boot", number)
    .option("--clock-skew-ms <ms>", "how wrong every tenth device's clock is", number)
    .option("--metrics <names...>", "payload fields (default: tempC rpm)")
    .option("--seed <n>", "the same seed sends the same messages", number)
    .option("--csv <file>", "replay a file with the columns timestamp,value instead")
    .option("--device <id>", "with --csv: the device")
    .option("--speed <n>", "with --csv: recorded time over sending time; 0: as fast as possible", number)
    .option("--to-now", "with --csv: move its times so that the last lies at now")
    .action(async (options: Omit<SimulateCommandOptions, "qos"> & { qos: string }) => {
      done(await (await import("./commands/simulate.ts")).run({ ...options, qos: Number(options.qos) as 0 | 1 | 2 }));
    });
  command("topics", "make the topics on Kafka, or check that they are as configured")
    .addArgument(new Argument("<action>", "what to do").choices(["create", "verify"]))
    .action(async (action: "create" | "verify", options: CommonOptions) => {
      done(await (await import("./commands/topics.ts")).run(action, options));
    });
  command(
    "mqtt-acl",
    "print access rules for the MQTT broker: devices bound to their tenant and their own topics, gateways to their devices",
  )
    .addOption(new Option("-f, --format <format>", "for").choices(["mosquitto-acl", "dynamic-security"]).default("mosquitto-acl"))
    .option("--devices <file>", 'with dynamic-security: a device a line, "tenant|deviceId" and, behind a space, its password')
    .action(async (options: MqttAclOptions) => {
      done((await import("./commands/mqtt-acl.ts")).run(options));
    });
  const position = (text: string): LogPosition => {
    const parsed = parseLogPosition(text);
    if (parsed === undefined) throw new InvalidArgumentError("must be earliest, latest, an offset, an ISO-8601 time, or @ and epoch ms");
    return parsed;
  };
  const suffix = (text: string): string => {
    if (!/^[a-zA-Z0-9._-]{1,50}$/.test(text)) throw new InvalidArgumentError('must be 1 to 50 letters, digits, ".", "_" and "-"');
    return text;
  };
  command("reset", "back to the beginning: offsets, internal topics, local state (output topics stay)")
    .addOption(
      new Option("--to <position>", "where to begin again: earliest, latest, an offset, or a time")
        .argParser(position)
        .default({ kind: "earliest" }, "earliest"),
    )
    .addOption(new Option("--dry-run", "only say what would be done (so does neither option)").conflicts("yes"))
    .option("--yes", "do it")
    .option("--local-only", "only this machine's state, after a reset on another")
    .action(async (options: ResetOptions) => {
      done(await (await import("./commands/reset.ts")).run(options));
    });
  command("replay", "process a part of the log again, into topics of its own or, after a reset, into the same")
    .requiredOption("--from <position>", "earliest, an offset, or a time", position)
    .addOption(
      new Option("--to <position>", "where to end").argParser(position).default({ kind: "latest" }, "latest, as it is at the start"),
    )
    .option("--into <suffix>", "as application <applicationId>-<suffix>, into topics <name>.<suffix>", suffix)
    .action(async (options: ReplayOptions) => {
      done(await (await import("./commands/replay.ts")).run(options));
    });
  addDeviceCommands(program, done, number);
  addShadowCommands(program, done, number);
  buildDlqProgram(commandOf, done, program.command("dlq").description("dead letters: list, show, replay, purge"));
  command("doctor", "look for what is wrong or will be: brokers, topics, rights, certificates, queues, clocks")
    .addOption(
      new Option("--role <role>", "what this configuration is for (default: worker and ingress)").choices(["worker", "ingress", "gateway"]),
    )
    .option("--acls", "only print the rights that Kafka must give, and no more")
    .option("--mosquitto-conf <file>", "Mosquitto's configuration, to see the queue limits that it tells nobody")
    .action(async (options: DoctorOptions) => {
      done(await (await import("./commands/doctor.ts")).run(options));
    });
  command("topology", "print the job's graph")
    .addOption(new Option("-f, --format <format>", "how").choices(["text", "mermaid"]).default("text"))
    .action(async (options: CommonOptions & { format: "text" | "mermaid" }) => {
      done(await (await import("./commands/topology.ts")).run(options));
    });
  return program;
}
