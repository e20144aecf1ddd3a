/**
 * What a command is given to run as if it were a function, or as its developer with the app's links: variables, and
 * those of its own environment that must not be there. Pure.
 */
import { devNull } from "node:os";

import type { WantedApp, WantedFunction, WantedLink, WantedProcess } from "../proto/app.ts";
import { isSensitiveName, redact, SEALED } from "../proto/redact.ts";

import { linkVariables } from "./lib/link-variables.ts";
import { resolved, variables, type Lookup } from "./links.ts";

export type RunEnvironment = {
  readonly variables: Readonly<Record<string, string>>;
  /** Names; `SST_RESOURCE_*` stands for all that begin so. */
  readonly unset: readonly string[];
  /** Behind the NODE_OPTIONS that it has: the tunnel's hook. */
  readonly nodeOptions?: string;
};

/** Where AWS is, and who asks there. */
export type RunPlace = {
  readonly endpoint: string | undefined;
  readonly profile: string | undefined;
  /** The developer's own with home "local": the local cloud's. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
};

/** Values of another app, or of another time. */
const LINKS = [
  "SST_RESOURCE_*",
  "SST_RESOURCES_JSON",
  "SST_KEY",
  "SST_KEY_FILE",
  "LIVEDEV_AS",
  "LIVEDEV_AS_KIND",
];

/** Wherever AWS's SDKs and tools look before they ask a container's endpoint. */
const CREDENTIALS = [
  "AWS_ACCESS_KEY_ID",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "AWS_SECURITY_TOKEN",
  "AWS_CREDENTIAL_EXPIRATION",
  "AWS_PROFILE",
  "AWS_DEFAULT_PROFILE",
  "AWS_ROLE_ARN",
  "AWS_WEB_IDENTITY_TOKEN_FILE",
  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
  "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/** `endpoint`: the variables of the function's credentials. */
export function asFunction(
  app: WantedApp,
  wanted: WantedFunction,
  lookup: Lookup,
  place: RunPlace,
  endpoint: Readonly<Record<string, string>>,
): RunEnvironment {
  const given = {
    ...links(app, wanted.link, lookup),
    ...region(app, place),
    SST_DEV: "true",
    ...variables(wanted.environment, lookup),
    ...endpoint,
    // For what `Resource` says where a link is missing.
    LIVEDEV_AS: wanted.name,
    // The developer's own profiles come before a container's endpoint, and would be used without a word.
    AWS_SHARED_CREDENTIALS_FILE: devNull,
    AWS_CONFIG_FILE: devNull,
    AWS_EC2_METADATA_DISABLED: "true",
  };
  return { variables: given, unset: without([...LINKS, ...CREDENTIALS], given) };
}

/** Every link of the app, and the developer's own permissions. */
export function asDeveloper(app: WantedApp, lookup: Lookup, place: RunPlace): RunEnvironment {
  return developers(app, links(app, app.linkable ?? [], lookup), place);
}

/** A frontend's or service's own links and variables, and the developer's own permissions. */
export function asProcess(
  app: WantedApp,
  { name, kind, link, environment }: WantedProcess,
  lookup: Lookup,
  place: RunPlace,
): RunEnvironment {
  const { variables: given, unset } = developers(app, links(app, link, lookup), place);
  const own = {
    ...given,
    ...variables(environment, lookup),
    // For what `Resource` says where a link is missing.
    LIVEDEV_AS: name,
    LIVEDEV_AS_KIND: kind,
  };
  return { variables: own, unset: without(unset, own) };
}

function developers(
  app: WantedApp,
  linked: Readonly<Record<string, string>>,
  place: RunPlace,
): RunEnvironment {
  const { credentials, profile } = place;
  const given = {
    ...linked,
    ...region(app, place),
    ...(profile !== undefined && { AWS_PROFILE: profile }),
    ...(credentials !== undefined && {
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    }),
  };
  const others = credentials === undefined ? [] : CREDENTIALS;
  return { variables: given, unset: without([...LINKS, ...others], given) };
}

/** As it may be shown. `isSecret`: whether a secret's value stands in a text. */
export function redacted(
  { variables: given, ...rest }: RunEnvironment,
  isSecret: (value: unknown) => boolean,
): RunEnvironment {
  const shown = Object.entries(given).map(([name, value]): [string, string] => {
    if (isSensitiveName(name)) return [name, SEALED];
    if (name.startsWith("SST_RESOURCE_"))
      return [name, JSON.stringify(redactedData(JSON.parse(value), isSecret))];
    return [name, isSecret(value) ? SEALED : redact(value)];
  });
  return { ...rest, variables: Object.fromEntries(shown) };
}

function redactedData(value: unknown, isSecret: (value: unknown) => boolean): unknown {
  if (typeof value === "string") return isSecret(value) ? SEALED : redact(value);
  if (Array.isArray(value)) return value.map((item) => redactedData(item, isSecret));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      isSensitiveName(name) && typeof item === "string" && item !== ""
        ? SEALED
        : redactedData(item, isSecret),
    ]),
  );
}

function links(app: WantedApp, link: readonly WantedLink[], lookup: Lookup): Record<string, string> {
  return linkVariables(resolved(link, lookup), app);
}

function region({ region }: WantedApp, { endpoint }: RunPlace): Record<string, string> {
  return {
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
    ...(endpoint !== undefined && { AWS_ENDPOINT_URL: endpoint }),
  };
}

const without = (names: readonly string[], given: Readonly<Record<string, string>>) =>
  names.filter((name) => !(name in given));
