/** Property types that several components share. */
import type { Input } from "./output.ts";

export type Duration =
  `${number} ${"second" | "seconds" | "minute" | "minutes" | "hour" | "hours" | "day" | "days"}`;
export type Size = `${number} ${"MB" | "GB"}`;
export type StorageSize = `${number} ${"GB" | "TB"}`;

/** Components whose values the code reads from `Resource`: `[bucket, secret]`. */
export type Links = Input<readonly unknown[]>;

/** Values may be outputs of other components: `{ API: api.url }`. */
export type Environment = Input<Record<string, Input<string>>>;

export type Permission = {
  /** @default "allow" */
  effect?: "allow" | "deny";
  /** `["s3:GetObject"]` */
  actions: string[];
  /** `["*"]`, or outputs: `[table.arn]`. */
  resources: Input<Input<string>[]>;
};

/** Subnets and security groups that stand already. */
export type VpcPlacement = {
  /** Their ids. */
  privateSubnets?: Input<Input<string>[]>;
  /** Another word for `privateSubnets`. */
  subnets?: Input<Input<string>[]>;
  /** Their ids. */
  securityGroups?: Input<Input<string>[]>;
};

/** For a Linkable's `include`: what the functions that link it may do. */
export function permission(args: Permission): Permission & { type: "aws.permission" } {
  return { type: "aws.permission", ...args };
}
