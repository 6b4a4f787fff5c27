/** Requests to this worker: with the tab's token, a time-out, and problems as errors. */

const TOKEN_KEY = "sluice.token";
const TIMEOUT_MS = 8000;

export class RequestError extends Error {
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export class ApiClient {
  #askForToken;

  /** @param {(message: string) => Promise<string>} askForToken */
  constructor(askForToken) {
    this.#askForToken = askForToken;
  }

  /** The JSON answer. Asks the person for a token as often as the worker says 401. */
  async get(path) {
    const response = await this.open(path, AbortSignal.timeout(TIMEOUT_MS));
    return response.json();
  }

  /** The answer as it starts, for streams. */
  async open(path, signal) {
    for (;;) {
      const token = sessionStorage.getItem(TOKEN_KEY);
      const response = await fetch(path, { signal, headers: token === null ? {} : { authorization: `Bearer ${token}` } });
      if (response.ok) return response;
      if (response.status !== 401) throw await toError(response);
      sessionStorage.setItem(TOKEN_KEY, await this.#askForToken(token === null ? "" : "The worker did not take this token."));
      if (signal.aborted) throw signal.reason;
    }
  }
}

async function toError(response) {
  const problem = await response.json().catch(() => ({}));
  return new RequestError(problem.detail ?? `the worker answered ${response.status}`, response.status, problem.code);
}

/** `/v1/tenants/{tenant}/…` with every part encoded. */
export function tenantPath(tenant, ...parts) {
  return ["/v1/tenants", encodeURIComponent(tenant), ...parts.map(encodeURIComponent)].join("/");
}
