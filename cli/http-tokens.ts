/** Tokens of the HTTP doors: the one that opens everything (`http.token`), and those of `http.tokensFile` with tenants and permissions. */
import { readFileSync } from "node:fs";
import type { Logger } from "pino";
import type { TokenSources } from "../api/auth.ts";
import { ConfigError } from "./config/errors.ts";
import { parseTokensFile } from "./config/tokens-file.ts";
import { secretFileOf, secretText } from "./config/secrets.ts";
import type { Config } from "./config/schema.ts";
import { MIN_TOKEN_LENGTH } from "./config/sections.ts";
import { Reloaded } from "./reloaded.ts";

/**
 * Both files are read again within seconds of a change. While the changed one cannot be used the tokens stay as they were, with a warning.
 * @throws ConfigError naming each wrong entry of the tokens' file
 */
export function httpTokens({ http: { token, tokenFile, tokensFile } }: Pick<Config, "http">, logger: Logger): TokenSources {
  const changeable = secretFileOf(tokenFile, token);
  const one = changeable === undefined ? undefined : new Reloaded([changeable], () => readToken(changeable), logger);
  const more = tokensFile === undefined ? undefined : new Reloaded([tokensFile], () => parseTokensFile(tokensFile), logger);
  return {
    ...(token === undefined ? {} : { token: one === undefined ? token : () => one.current }),
    ...(more === undefined ? {} : { tokens: () => more.current }),
  };
}

function readToken(file: string): string {
  const token = secretText(readFileSync(file));
  if (token.length < MIN_TOKEN_LENGTH)
    throw new ConfigError(file, [{ path: "http.token", message: `is below ${MIN_TOKEN_LENGTH} characters` }]);
  return token;
}
