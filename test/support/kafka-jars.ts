import { existsSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheDir } from "./cache-dir.ts";
import { withFileLock } from "./file-lock.ts";
import { runMaven } from "./maven.ts";

export const KAFKA_VERSION = "4.3.1";

const ARTIFACTS = [
  ["org.apache.kafka", "kafka_2.13", KAFKA_VERSION],
  ["org.apache.kafka", "kafka-tools", KAFKA_VERSION],
  ["org.slf4j", "slf4j-simple", "1.7.36"],
];

/** Folder with Kafka's jars and all they need; only complete when it exists. */
export function kafkaLibs(): string {
  return join(cacheDir(), `kafka-${KAFKA_VERSION}`, "libs");
}

export function kafkaIsInstalled(): boolean {
  return existsSync(join(kafkaLibs(), `kafka_2.13-${KAFKA_VERSION}.jar`));
}

/** Fetches the jars (about 110 MB) from Maven Central, once per machine. */
export async function installKafka(): Promise<void> {
  const home = join(cacheDir(), `kafka-${KAFKA_VERSION}`);
  await withFileLock(join(home, ".lock"), async () => {
    if (kafkaIsInstalled()) return;
    const partial = join(home, "libs.partial");
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    await writeFile(join(home, "pom.xml"), pom());
    await runMaven(["dependency:copy-dependencies", `-DoutputDirectory=${partial}`], home);
    await rename(partial, kafkaLibs());
  });
}

function pom(): string {
  const dependencies = ARTIFACTS.map(
    ([group, artifact, version]) =>
      `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`,
  );
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>sluice.test</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>${dependencies.join("\n")}</dependencies></project>
`;
}
