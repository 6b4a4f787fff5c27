/** What is shown, kept in the address: `#tenant/device`, so that a screen can be bookmarked and reloaded. */

/** @returns {{tenant: string | undefined, deviceId: string | undefined}} */
export function readAddress() {
  try {
    const [tenant, deviceId] = location.hash.slice(1).split("/").map(decodeURIComponent);
    return { tenant: tenant || undefined, deviceId: deviceId || undefined };
  } catch (error) {
    // Typed or cut by hand: as good as none.
    if (error instanceof URIError) return { tenant: undefined, deviceId: undefined };
    throw error;
  }
}

export function writeAddress(tenant, deviceId) {
  history.replaceState(null, "", `#${encodeURIComponent(tenant)}${deviceId === undefined ? "" : `/${encodeURIComponent(deviceId)}`}`);
}
