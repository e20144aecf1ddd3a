/** STS: who am I, and a role's temporary credentials. Policies are kept but not evaluated: any key may do anything. */
import { accessDenied, unsupported } from "./aws-error.ts";
import type { XmlValue } from "./protocols.ts";
import type { QueryParameters } from "./query.ts";
import { openSession, type Principal } from "./sessions.ts";
import type { CloudState } from "./state.ts";

export function callSts(query: QueryParameters, caller: Principal, state: Readonly<CloudState>): XmlValue {
  switch (query.action) {
    case "GetCallerIdentity":
      return { Arn: caller.arn, UserId: caller.userId, Account: state.accountId };
    case "AssumeRole":
      return assumeRole(query, caller, state);
    default:
      throw unsupported(`STS's ${query.action || "request without an Action"}`);
  }
}

function assumeRole(query: QueryParameters, caller: Principal, state: Readonly<CloudState>): XmlValue {
  const roleArn = query.required("RoleArn");
  const name = query.matching("RoleSessionName", /^[\w+=,.@-]{2,64}$/);
  const role = Object.values(state.roles).find(({ arn }) => arn === roleArn);
  // As AWS: whether a role exists is not told apart from whether it may be assumed.
  if (role === undefined) {
    throw accessDenied(
      `User: ${caller.arn} is not authorized to perform: sts:AssumeRole on resource: ${roleArn}`,
    );
  }
  const seconds = query.integer("DurationSeconds", 3600, 900, role.maxSessionDuration);
  const session = openSession(state, role, name, seconds);
  return {
    Credentials: {
      AccessKeyId: session.accessKeyId,
      SecretAccessKey: session.secretAccessKey,
      SessionToken: session.sessionToken,
      Expiration: session.expiresAt.toISOString(),
    },
    AssumedRoleUser: { AssumedRoleId: session.principal.userId, Arn: session.principal.arn },
  };
}
