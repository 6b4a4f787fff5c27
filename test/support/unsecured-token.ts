/** A bearer token as Kafka's own validator for tests takes it: not signed. */
export function unsecuredToken(subject: string, lifeS: number): string {
  const now = Math.floor(Date.now() / 1000);
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part({ sub: subject, iat: now, exp: now + lifeS })}.`;
}
