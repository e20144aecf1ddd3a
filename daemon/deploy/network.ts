/**
 * VPCs that stand already, by id or by tags: looked at, never changed. What a `Vpc` of livedev's own gives, these give
 * too: subnets that lead to the internet are public, the rest private, and the default security group holds.
 */
import type { RouteTable, Subnet, Vpc } from "@aws-sdk/client-ec2";

import type { WantedApp, WantedVpc } from "../../proto/app.ts";
import { vpcNotFound, vpcNotOne } from "../lib/errors.ts";
import type { Calls } from "./calls.ts";

type Existing = Exclude<WantedVpc, { is: "new" }>;

/** By component: what each gives to those that refer to it. @throws LivedevError where there is none, or several. */
export async function readNetworks(
  calls: Calls,
  app: Pick<WantedApp, "vpcs">,
): Promise<Record<string, Record<string, unknown>>> {
  const found: Record<string, Record<string, unknown>> = {};
  for (const vpc of app.vpcs) if (vpc.is !== "new") found[vpc.name] = await readNetwork(calls, vpc);
  return found;
}

async function readNetwork(calls: Calls, wanted: Existing): Promise<Record<string, unknown>> {
  const { VpcId: id = "" } = await find(calls, wanted);
  const ec2 = await import("@aws-sdk/client-ec2");
  const client = await calls.aws.ec2();
  const Filters = [{ Name: "vpc-id", Values: [id] }];
  const [{ Subnets = [] }, { RouteTables = [] }, { SecurityGroups = [] }] = await Promise.all([
    calls.try(`DescribeSubnets of ${id}`, () => client.send(new ec2.DescribeSubnetsCommand({ Filters }))),
    calls.try(`DescribeRouteTables of ${id}`, () =>
      client.send(new ec2.DescribeRouteTablesCommand({ Filters })),
    ),
    calls.try(`DescribeSecurityGroups of ${id}`, () =>
      client.send(
        new ec2.DescribeSecurityGroupsCommand({
          Filters: [...Filters, { Name: "group-name", Values: ["default"] }],
        }),
      ),
    ),
  ]);
  const isPublic = leadsOut(RouteTables);
  // In the same order always: an app that did not change is not deployed again.
  const ids = (subnets: readonly Subnet[]) => subnets.map(({ SubnetId = "" }) => SubnetId).toSorted();
  return {
    id,
    publicSubnets: ids(Subnets.filter(isPublic)),
    privateSubnets: ids(Subnets.filter((subnet) => !isPublic(subnet))),
    securityGroups: SecurityGroups.map(({ GroupId = "" }) => GroupId),
  };
}

async function find(calls: Calls, wanted: Existing): Promise<Vpc> {
  const { DescribeVpcsCommand } = await import("@aws-sdk/client-ec2");
  const client = await calls.aws.ec2();
  if (wanted.is === "existing") {
    // It is needed before anything is made, so it is not an output of something that is.
    const id = typeof wanted.id === "string" ? wanted.id : "(not known yet)";
    const { Vpcs = [] } =
      (await calls.unless(["InvalidVpcID.NotFound", "InvalidVpcID.Malformed"], `DescribeVpcs ${id}`, () =>
        client.send(new DescribeVpcsCommand({ VpcIds: [id] })),
      )) ?? {};
    const [vpc] = Vpcs;
    if (vpc === undefined) throw vpcNotFound(wanted.name, `the id ${id}`, calls.aws.region);
    return vpc;
  }
  const said = `the tags ${Object.entries(wanted.tags)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ")}`;
  const Filters = Object.entries(wanted.tags).map(([key, value]) => ({
    Name: `tag:${key}`,
    Values: [value],
  }));
  const { Vpcs = [] } = await calls.try(`DescribeVpcs by tags`, () =>
    client.send(new DescribeVpcsCommand({ Filters })),
  );
  const [vpc, ...others] = Vpcs;
  if (vpc === undefined) throw vpcNotFound(wanted.name, said, calls.aws.region);
  if (others.length > 0) {
    throw vpcNotOne(
      wanted.name,
      said,
      Vpcs.map(({ VpcId = "" }) => VpcId),
    );
  }
  return vpc;
}

/** A subnet has its own route table, or the VPC's main one. */
function leadsOut(tables: readonly RouteTable[]): (subnet: Subnet) => boolean {
  const main = tables.find(({ Associations = [] }) => Associations.some(({ Main }) => Main === true));
  return ({ SubnetId }) => {
    const own = tables.find(({ Associations = [] }) => Associations.some((one) => one.SubnetId === SubnetId));
    return ((own ?? main)?.Routes ?? []).some(({ GatewayId = "" }) => GatewayId.startsWith("igw-"));
  };
}
