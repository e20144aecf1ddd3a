import * as z from "zod";

import type { WantedBucketPolicy, WantedLifecycle } from "../../proto/app.ts";
import { allow } from "./permissions.ts";
import { parse, partition, subject, without, type Read } from "./reading.ts";
import { durationMs } from "./units.ts";
import {
  anyText,
  flag,
  given,
  joined,
  maxAge,
  notThis,
  parsed,
  reference,
  text,
  texts,
  within,
} from "./values.ts";

const METHODS = ["DELETE", "GET", "HEAD", "POST", "PUT"] as const;

const cors = z.preprocess(
  (value) => (value === true || value === undefined ? {} : value === false ? null : value),
  z
    .strictObject(
      {
        allowHeaders: texts.default(["*"]),
        allowMethods: z
          .array(z.enum(METHODS), { error: 'write a list, ["GET", "POST"]' })
          .default([...METHODS]),
        allowOrigins: texts.default(["*"]),
        exposeHeaders: texts.default([]),
        maxAge: maxAge.default(0),
      },
      { error: notThis("write true, false or { allowOrigins, … }") },
    )
    .nullable(),
);

const DAY = 86_400_000;

const lifecycle = z
  .strictObject(
    {
      id: text("write a name").optional(),
      enabled: flag.default(true),
      prefix: text("write a string").optional(),
      expiresIn: parsed('write it in days, "30 days"', (value) =>
        within((durationMs(value) ?? 0) / DAY, 1, 1_000_000),
      ).optional(),
      expiresAt: parsed('write a day, "2026-12-31"', (value) => {
        const at = /^\d{4}-\d{2}-\d{2}$/.test(value) ? new Date(`${value}T00:00:00.000Z`) : undefined;
        return at === undefined || Number.isNaN(at.getTime()) ? undefined : at.toISOString();
      }).optional(),
    },
    { error: notThis('write { expiresIn: "30 days" }') },
  )
  .transform(({ expiresIn, expiresAt, ...rule }, context): WantedLifecycle => {
    if ((expiresIn === undefined) === (expiresAt === undefined)) {
      context.addIssue({ code: "custom", message: "write either expiresIn or expiresAt" });
      return z.NEVER;
    }
    return given({ ...rule, expiresInDays: expiresIn, expiresAt });
  });

const principal = z.strictObject(
  {
    type: z.enum(["aws", "service", "federated", "canonical"]),
    identifiers: z.array(anyText("write an ARN or a name"), { error: 'write a list, ["…"]' }),
  },
  { error: notThis('write { type: "aws", identifiers: ["arn:…"] }') },
);

const policy = z
  .strictObject(
    {
      effect: z.enum(["allow", "deny"]).default("allow"),
      actions: texts,
      principals: z.preprocess(
        (value) => (value === "*" ? "*" : value),
        z.union([z.literal("*"), z.array(principal)], { error: 'write "*", or [{ type, identifiers }]' }),
      ),
      conditions: z
        .array(
          z.strictObject({
            test: text("write an operator of IAM's, StringEquals"),
            variable: text("write a condition key, aws:SourceArn"),
            values: z.array(anyText("write a string"), { error: 'write a list, ["…"]' }),
          }),
          { error: "write a list, [{ test, variable, values }]" },
        )
        .default([]),
      paths: texts.default(["", "*"]),
    },
    { error: notThis("write { actions, principals }") },
  )
  .transform((statement): WantedBucketPolicy => statement);

const schema = z.strictObject(
  {
    access: z.enum(["public", "cloudfront"]).optional(),
    public: flag.optional(),
    cors,
    versioning: flag.default(false),
    enforceHttps: flag.default(true),
    lifecycle: z.array(lifecycle, { error: 'write a list, [{ expiresIn: "30 days" }]' }).default([]),
    policy: z.array(policy, { error: "write a list, [{ actions, principals }]" }).default([]),
    /** Of `Bucket.get`. */
    existing: anyText("write a bucket's name").optional(),
  },
  { error: notThis('write { access: "public" }') },
);

export const readBucket: Read = (component, context, notes) => {
  const name = String(component.name);
  const value = without(component.args ?? {}, ["transform"], subject(component), notes.warn);
  const args = parse(schema, value, component, notes);
  const arn = reference(name, "arn");
  const linked = {
    properties: { name: reference(name, "name") },
    // As SST: code that was written for it may do with the bucket what it likes.
    permissions: [allow(["s3:*"], [arn, joined(arn, "/*")])],
  };
  if (args === undefined) return { linked };
  const { existing, cors: rules, lifecycle: lifecycles, policy: policies, versioning, enforceHttps } = args;
  const { maxAge: maxAgeSeconds, ...rest } = rules ?? { maxAge: 0 };
  return {
    linked,
    ...(existing !== undefined && {
      known: {
        name: existing,
        arn: joined(`arn:${partition(context.app?.region ?? context.region)}:s3:::`, existing),
        domain: joined(existing, ".s3.amazonaws.com"),
      },
    }),
    add: ({ buckets }) => {
      buckets.push({
        name,
        access: args.access ?? (args.public === true ? "public" : "private"),
        versioning,
        enforceHttps,
        lifecycle: lifecycles,
        policy: policies,
        ...given({ existing }),
        ...(rules !== null && { cors: { ...rest, maxAgeSeconds } }),
      });
    },
  };
};
