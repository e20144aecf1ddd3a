/**
 * Temporary credentials. The session token is the session itself, sealed with a key that only this cloud has, as it
 * is in AWS: nothing is stored, so sessions survive a restart of the cloud.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

import { randomKeyId, type CloudState, type Role } from "./state.ts";

/** Who signed a request. */
export type Principal = {
  readonly arn: string;
  /** As GetCallerIdentity's `UserId`. */
  readonly userId: string;
};

export type SessionCredentials = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiresAt: Date;
  readonly principal: Principal;
};

type Sealed = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly arn: string;
  readonly userId: string;
  readonly expiresAt: number;
};

export function openSession(
  state: Readonly<CloudState>,
  role: Role,
  name: string,
  seconds: number,
): SessionCredentials {
  const sealed: Sealed = {
    accessKeyId: randomKeyId("ASIA"),
    secretAccessKey: randomBytes(30).toString("base64"),
    arn: `arn:aws:sts::${state.accountId}:assumed-role/${role.name}/${name}`,
    userId: `${role.id}:${name}`,
    expiresAt: Date.now() + seconds * 1000,
  };
  return credentialsOf(sealed, seal(state, sealed));
}

/** `undefined`: not a token of this cloud, or changed on the way. Expired ones are given back. */
export function readSession(state: Readonly<CloudState>, token: string): SessionCredentials | undefined {
  const bytes = Buffer.from(token, "base64");
  if (bytes.length < IV + TAG) return undefined;
  const decipher = createDecipheriv(
    "aes-256-gcm",
    Buffer.from(state.sessionKey, "hex"),
    bytes.subarray(0, IV),
  );
  decipher.setAuthTag(bytes.subarray(IV, IV + TAG));
  try {
    const plain = Buffer.concat([decipher.update(bytes.subarray(IV + TAG)), decipher.final()]);
    return credentialsOf(JSON.parse(plain.toString("utf8")) as Sealed, token);
  } catch {
    return undefined;
  }
}

export function rootPrincipal(state: Readonly<CloudState>): Principal {
  return { arn: `arn:aws:iam::${state.accountId}:root`, userId: state.accountId };
}

const IV = 12;
const TAG = 16;

function seal(state: Readonly<CloudState>, session: Sealed): string {
  const iv = randomBytes(IV);
  const cipher = createCipheriv("aes-256-gcm", Buffer.from(state.sessionKey, "hex"), iv);
  const body = Buffer.concat([cipher.update(JSON.stringify(session), "utf8"), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), body]).toString("base64");
}

function credentialsOf(sealed: Sealed, sessionToken: string): SessionCredentials {
  return {
    accessKeyId: sealed.accessKeyId,
    secretAccessKey: sealed.secretAccessKey,
    sessionToken,
    expiresAt: new Date(sealed.expiresAt),
    principal: { arn: sealed.arn, userId: sealed.userId },
  };
}
