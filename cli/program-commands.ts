import { Option, type Command } from "commander";
import type { CommonOptions } from "./command-options.ts";
import type { SendOptions, StatusOptions } from "./commands/command.ts";

/** `sluice command send|status`. */
export function addDeviceCommands(program: Command, done: (exitCode: number) => void, number: (text: string) => number): void {
  const group = program.command("command").description("commands to devices, and what became of them");
  const subcommand = (name: string, description: string): Command =>
    group
      .command(name)
      .description(description)
      .option("-c, --config <file>", "YAML configuration file")
      .option("--json", "JSON lines instead of text on stdout")
      .option("--tenant <name>", "tenant of the device", "demo")
      .option("--wait", "until it is done; exit code 0 only if the device acknowledged it");
  subcommand("send", "send a command")
    .argument("<device>", "id of the device")
    .argument("<name>", "what to do")
    .option("--payload <json>", "JSON, or any text")
    .option("--id <id>", "the same id twice is one command (default: a new one)")
    .addOption(
      new Option("--guarantee <guarantee>", "how often it may arrive").choices(["at-most-once", "at-least-once"]).default("at-least-once"),
    )
    .addOption(new Option("--qos <qos>", "of the MQTT message (default: 1, at most once 0)").choices(["0", "1", "2"]))
    .option("--expires-in-ms <ms>", "how long it is good for (default: commands.expiresInMs)", number)
    .action(async (device: string, name: string, options: CommonOptions & Omit<SendOptions, "qos"> & { qos?: string }) => {
      const qos = options.qos === undefined ? undefined : (Number(options.qos) as 0 | 1 | 2);
      done(await (await import("./commands/command.ts")).send(device, name, { ...options, qos }));
    });
  subcommand("status", "what became of a command")
    .argument("<device>", "id of the device")
    .argument("<id>", "id of the command")
    .action(async (device: string, id: string, options: StatusOptions) => {
      done(await (await import("./commands/command.ts")).status(device, id, options));
    });
}
