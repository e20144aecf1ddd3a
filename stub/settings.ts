/** The stub's settings: `livedev.json` beside it in the function's package. Deploy writes it. */
import { readFileSync } from "node:fs";

export type Settings = {
  readonly version: 1;
  readonly app: string;
  readonly stage: string;
  /** The function's name in the config. */
  readonly functionName: string;
  /** The stage's key: 32 bytes. */
  readonly key: Buffer;
  readonly keyId: string;
  /** Where livedevd is to be reached. One entry now; take-over and routing later are data. */
  readonly addresses: readonly { readonly address: string; readonly match: string }[];
  readonly whenAway: "error" | "deployed";
  /** The function's URL is of Lambda's `RESPONSE_STREAM`. */
  readonly streamingUrl?: boolean;
};

/** Throws an Error whose message is one sentence for whoever reads the function's log. */
export function readSettings(file: URL): Settings {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    throw broken("is missing");
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw broken("is not JSON");
  }
  if (typeof json !== "object" || json === null) throw broken("is not an object");
  const fields = json as Record<string, unknown>;
  if (fields["version"] !== 1) throw broken(`has version ${String(fields["version"])}, this stub reads 1`);
  for (const name of ["app", "stage", "functionName", "keyId"]) {
    if (typeof fields[name] !== "string" || fields[name] === "") throw broken(`has no ${name}`);
  }
  const { key, addresses, whenAway } = fields;
  if (typeof key !== "string" || !/^[0-9a-f]{64}$/i.test(key)) throw broken("has no key of 32 bytes in hex");
  if (!Array.isArray(addresses) || addresses.length === 0 || !addresses.every(isAddress)) {
    throw broken("has no address of the form tls://host:port or wss://…");
  }
  if (whenAway !== "error" && whenAway !== "deployed")
    throw broken('has whenAway other than "error" or "deployed"');
  return { ...fields, key: Buffer.from(key, "hex") } as Settings;
}

/** The address for this function; `match` names a function, or `*`. */
export function addressOf(settings: Settings): URL {
  const found =
    settings.addresses.find(({ match }) => match === settings.functionName) ??
    settings.addresses.find(({ match }) => match === "*");
  if (found === undefined) throw broken(`has no address for ${settings.functionName}`);
  return new URL(found.address);
}

function isAddress(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { address, match } = value as Record<string, unknown>;
  if (typeof match !== "string" || typeof address !== "string") return false;
  return /^(?:tls:\/\/[^/\s]+:\d+|wss:\/\/\S+)$/.test(address) && URL.canParse(address);
}

const broken = (what: string) =>
  new Error(
    `The livedev.json in this function's package ${what}: run \`livedevd start\` to deploy the stub again.`,
  );
