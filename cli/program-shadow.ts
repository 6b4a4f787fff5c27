import type { Command } from "commander";
import type { ChangeOptions, ShadowOptions } from "./commands/shadow.ts";

/** `sluice shadow get|set|replace|delete`. */
export function addShadowCommands(program: Command, done: (exitCode: number) => void, number: (text: string) => number): void {
  const group = program.command("shadow").description("what is desired of a device, and what it says it is");
  const subcommand = (name: string, description: string): Command =>
    group
      .command(name)
      .description(description)
      .argument("<device>", "id of the device")
      .option("-c, --config <file>", "YAML configuration file")
      .option("--json", "JSON lines instead of text on stdout")
      .option("--tenant <name>", "tenant of the device", "demo");
  const changing = (name: string, description: string): Command =>
    subcommand(name, description)
      .option("--if-version <n>", "only if the shadow has this version", number)
      .option("--id <id>", "the same id twice is one request (default: a new one)");
  subcommand("get", "show it").action(async (device: string, options: ShadowOptions) => {
    done(await (await import("./commands/shadow.ts")).get(device, options));
  });
  changing("set", "merge into the desired state; null takes a name away (RFC 7396)")
    .argument("<state>", "JSON object")
    .action(async (device: string, state: string, options: ChangeOptions) => {
      done(await (await import("./commands/shadow.ts")).change("patch", device, state, options));
    });
  changing("replace", "replace the desired state")
    .argument("<state>", "JSON object")
    .action(async (device: string, state: string, options: ChangeOptions) => {
      done(await (await import("./commands/shadow.ts")).change("replace", device, state, options));
    });
  changing("delete", "delete it, the reported state too").action(async (device: string, options: ChangeOptions) => {
    done(await (await import("./commands/shadow.ts")).change("delete", device, undefined, options));
  });
}
