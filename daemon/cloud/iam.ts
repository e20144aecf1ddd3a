/** IAM: roles and their policies. Policies are kept and given back, not evaluated. */
import {
  deleteConflict,
  entityExists,
  invalidInput,
  malformedPolicy,
  noSuchEntity,
  unsupported,
} from "./aws-error.ts";
import { page } from "./pages.ts";
import type { XmlValue } from "./protocols.ts";
import type { QueryParameters } from "./query.ts";
import type { StateFile } from "./state-file.ts";
import { randomKeyId, type CloudState, type Role } from "./state.ts";

type Operation = (query: QueryParameters, state: CloudState) => XmlValue;

export async function callIam(query: QueryParameters, states: StateFile): Promise<XmlValue> {
  const read = own(READS, query.action);
  if (read !== undefined) return read(query, states.state);
  const change = own(CHANGES, query.action);
  if (change !== undefined) return states.update((draft) => change(query, draft));
  throw unsupported(`IAM's ${query.action || "request without an Action"}`);
}

const READS: Readonly<Record<string, Operation>> = {
  GetRole: (query, state) => ({ Role: shown(roleOf(query, state)) }),

  ListRoles: (query, state) => {
    const prefix = query.optional("PathPrefix") ?? "/";
    const roles = Object.values(state.roles).filter(({ path }) => path.startsWith(prefix));
    return paged(
      query,
      roles,
      ({ name }) => name,
      (entries) => ({ Roles: entries.map(shown) }),
    );
  },

  GetRolePolicy: (query, state) => {
    const role = roleOf(query, state);
    const name = query.required("PolicyName");
    const document = own(role.inlinePolicies, name);
    if (document === undefined) throw noSuchPolicy(name);
    return { RoleName: role.name, PolicyName: name, PolicyDocument: encodeURIComponent(document) };
  },

  ListRolePolicies: (query, state) =>
    paged(query, Object.keys(roleOf(query, state).inlinePolicies), String, (names) => ({
      PolicyNames: names,
    })),

  ListAttachedRolePolicies: (query, state) =>
    paged(query, roleOf(query, state).attachedPolicies, String, (arns) => ({
      AttachedPolicies: arns.map((arn) => ({ PolicyName: arn.split("/").at(-1), PolicyArn: arn })),
    })),

  ListRoleTags: (query, state) =>
    paged(
      query,
      Object.entries(roleOf(query, state).tags),
      ([key]) => key,
      (tags) => ({ Tags: tags.map(tag) }),
    ),

  ListInstanceProfilesForRole: (query, state) => {
    roleOf(query, state);
    return { InstanceProfiles: [], IsTruncated: false };
  },
};

const CHANGES: Readonly<Record<string, Operation>> = {
  CreateRole: (query, state) => {
    const name = query.matching("RoleName", /^(?!__proto__$)[\w+=,.@-]{1,64}$/);
    if (own(state.roles, name) !== undefined) throw entityExists(`Role with name ${name} already exists.`);
    const path = query.optional("Path") ?? "/";
    if (!/^\/([\u0021-\u007E]+\/)?$/.test(path))
      throw invalidInput("The specified value for path is invalid.");
    const role: Role = {
      name,
      path,
      id: randomKeyId("AROA"),
      arn: `arn:aws:iam::${state.accountId}:role${path}${name}`,
      createdAt: new Date().toISOString(),
      description: query.optional("Description"),
      maxSessionDuration: query.integer("MaxSessionDuration", 3600, 3600, 43_200),
      trustPolicy: policy(query, "AssumeRolePolicyDocument"),
      inlinePolicies: {},
      attachedPolicies: [],
      tags: checkedTags({}, query.tags("Tags")),
    };
    state.roles[name] = role;
    return { Role: shown(role) };
  },

  UpdateRole: (query, state) => {
    const role = roleOf(query, state);
    role.description = query.optional("Description") ?? role.description;
    role.maxSessionDuration = query.integer("MaxSessionDuration", role.maxSessionDuration, 3600, 43_200);
    return {};
  },

  DeleteRole: (query, state) => {
    const role = roleOf(query, state);
    if (role.attachedPolicies.length > 0) {
      throw deleteConflict("Cannot delete entity, must detach all policies first.");
    }
    if (Object.keys(role.inlinePolicies).length > 0) {
      throw deleteConflict("Cannot delete entity, must delete policies first.");
    }
    delete state.roles[role.name];
    return undefined;
  },

  UpdateAssumeRolePolicy: (query, state) => {
    roleOf(query, state).trustPolicy = policy(query, "PolicyDocument");
    return undefined;
  },

  PutRolePolicy: (query, state) => {
    const role = roleOf(query, state);
    role.inlinePolicies[query.matching("PolicyName", /^(?!__proto__$)[\w+=,.@-]{1,128}$/)] = policy(
      query,
      "PolicyDocument",
    );
    return undefined;
  },

  DeleteRolePolicy: (query, state) => {
    const role = roleOf(query, state);
    const name = query.required("PolicyName");
    if (own(role.inlinePolicies, name) === undefined) throw noSuchPolicy(name);
    delete role.inlinePolicies[name];
    return undefined;
  },

  AttachRolePolicy: (query, state) => {
    const role = roleOf(query, state);
    const arn = query.required("PolicyArn");
    const known = new RegExp(`^arn:aws:iam::(aws|${state.accountId}):policy/[\\w+=,.@/-]{1,256}$`);
    if (!known.test(arn)) throw noSuchEntity(`Policy ${arn} does not exist or is not attachable.`);
    if (!role.attachedPolicies.includes(arn)) role.attachedPolicies.push(arn);
    return undefined;
  },

  DetachRolePolicy: (query, state) => {
    const role = roleOf(query, state);
    const arn = query.required("PolicyArn");
    if (!role.attachedPolicies.includes(arn)) throw noSuchEntity(`Policy ${arn} was not found.`);
    role.attachedPolicies = role.attachedPolicies.filter((attached) => attached !== arn);
    return undefined;
  },

  TagRole: (query, state) => {
    const role = roleOf(query, state);
    role.tags = checkedTags(role.tags, query.tags("Tags"));
    return undefined;
  },

  UntagRole: (query, state) => {
    const role = roleOf(query, state);
    for (const key of query.list("TagKeys")) delete role.tags[key];
    return undefined;
  },
};

/** A name from a request must not find what every object inherits. */
function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

function roleOf(query: QueryParameters, state: CloudState): Role {
  const name = query.required("RoleName");
  const role = own(state.roles, name);
  if (role === undefined) throw noSuchEntity(`The role with name ${name} cannot be found.`);
  return role;
}

const noSuchPolicy = (name: string) => noSuchEntity(`The role policy with name ${name} cannot be found.`);

function shown(role: Role): XmlValue {
  return {
    Path: role.path,
    RoleName: role.name,
    RoleId: role.id,
    Arn: role.arn,
    CreateDate: role.createdAt,
    AssumeRolePolicyDocument: encodeURIComponent(role.trustPolicy),
    Description: role.description,
    MaxSessionDuration: role.maxSessionDuration,
    Tags: Object.entries(role.tags).map(tag),
  };
}

function tag([key, value]: [string, string]): XmlValue {
  return { Key: key, Value: value };
}

function checkedTags(before: Record<string, string>, added: Record<string, string>): Record<string, string> {
  const tags = { ...before, ...added };
  if (Object.keys(tags).length > 50) {
    throw invalidInput("The number of tags has reached the maximum limit of 50.");
  }
  for (const [key, value] of Object.entries(added)) {
    if (key.length > 128 || value.length > 256 || key.toLowerCase().startsWith("aws:")) {
      throw invalidInput(`The tag ${key} is invalid.`);
    }
  }
  return tags;
}

function policy(query: QueryParameters, name: string): string {
  const text = query.required(name);
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw malformedPolicy("This policy contains invalid Json");
  }
  if (typeof document !== "object" || document === null || !("Statement" in document)) {
    throw malformedPolicy("Syntax errors in policy.");
  }
  return text;
}

function paged<T>(
  query: QueryParameters,
  all: readonly T[],
  keyOf: (entry: T) => string,
  result: (entries: T[]) => { readonly [name: string]: XmlValue },
): XmlValue {
  const { entries, next } = page(
    all,
    keyOf,
    query.optional("Marker"),
    query.integer("MaxItems", 100, 1, 1000),
  );
  return { ...result(entries), IsTruncated: next !== undefined, Marker: next };
}
