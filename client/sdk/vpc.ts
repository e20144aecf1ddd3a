import { Component } from "./component.ts";
import { Output, type Input } from "./output.ts";

export type VpcNat = {
  /** @default "ec2" with `ec2`, else "managed" */
  type?: Input<"managed" | "ec2">;
  /** Allocation ids of Elastic IPs, one per zone: `["eipalloc-0123456789abcdef0"]`. */
  ip?: Input<Input<string>[]>;
  ec2?: Input<{
    /** @default "t4g.nano" */
    instance?: Input<string>;
    /** An image's id. */
    ami?: Input<string>;
  }>;
};

export type VpcArgs = {
  /** In how many availability zones it has subnets, 1 to 3. @default 2 */
  az?: Input<number>;
  /**
   * How private subnets reach the internet: `"managed"` by a NAT gateway per zone (about 33 USD a month each),
   * `"ec2"` by a small instance per zone (about 4 USD a month each). @default they do not
   */
  nat?: Input<"managed" | "ec2" | VpcNat>;
  /** A small instance that `livedev` tunnels through, so that local code reaches what is in the VPC. @default false */
  bastion?: Input<boolean>;
  transform?: unknown;
};

/**
 * A network of its own in AWS, with public and private subnets.
 *
 * @example
 * const vpc = new aws.Vpc("MyVpc", { nat: "ec2", bastion: true });
 * new aws.Function("MyApi", { handler: "src/api.handler", vpc });
 */
export class Vpc extends Component {
  /** Known once the app stands, as are all of them. */
  readonly id: Output<string>;
  readonly publicSubnets: Output<string[]>;
  readonly privateSubnets: Output<string[]>;
  readonly securityGroups: Output<string[]>;

  constructor(name: string, args?: VpcArgs, options?: unknown) {
    super("aws.Vpc", name, args, options);
    this.id = Output.later(`${name}.id`);
    this.publicSubnets = Output.later<string[]>(`${name}.publicSubnets`);
    this.privateSubnets = Output.later<string[]>(`${name}.privateSubnets`);
    this.securityGroups = Output.later<string[]>(`${name}.securityGroups`);
  }

  /**
   * A VPC that stands already, by its id or by tags that it alone has.
   *
   * @example
   * aws.Vpc.get("MyVpc", "vpc-0123456789abcdef0");
   * aws.Vpc.get("MyVpc", { tags: { Name: "shared" } });
   */
  static get(
    name: string,
    vpc: Input<string> | { readonly tags: Readonly<Record<string, string>> },
    options?: unknown,
  ): Vpc {
    const tagged = typeof vpc === "object" && !(vpc instanceof Output);
    return new Vpc(name, { existing: tagged ? vpc : { id: vpc } } as VpcArgs, options);
  }
}
