/** Components of livedev's own as CloudFormation templates. Pure. */
import {
  resolveOutputs,
  type WantedApp,
  type WantedDatabase,
  type WantedPlacement,
  type WantedPostgres,
  type WantedProcess,
  type WantedRedis,
  type WantedVpc,
} from "../../proto/app.ts";
import type { Lookup } from "./stubs.ts";

export type Template = { readonly template: string; readonly parameters: Readonly<Record<string, string>> };

type Resources = Record<string, Record<string, unknown>>;

const ref = (Ref: string) => ({ Ref });
const attribute = (of: string, name: string) => ({ "Fn::GetAtt": [of, name] });
const named = (Value: unknown) => ({ Tags: [{ Key: "Name", Value }] });

const template = (
  Description: string,
  Resources: Resources,
  outputs: Readonly<Record<string, unknown>>,
  Parameters: Readonly<Record<string, unknown>> = {},
): string =>
  JSON.stringify({
    AWSTemplateFormatVersion: "2010-09-09",
    Description,
    ...(Object.keys(Parameters).length > 0 && { Parameters }),
    Resources,
    Outputs: Object.fromEntries(Object.entries(outputs).map(([name, Value]) => [name, { Value }])),
  });

/** Every protocol and port. */
const ALL = { IpProtocol: "-1", FromPort: -1, ToPort: -1 };

/** A public and a private subnet per zone; /20 each, of 10.0.0.0/16. */
export function vpcTemplate(
  vpc: Extract<WantedVpc, { is: "new" }>,
  app: Pick<WantedApp, "name" | "stage">,
  lookup: Lookup,
): Template {
  const name = `${app.name}-${app.stage}-${vpc.name}`;
  const zones = Array.from({ length: vpc.az }, (_, index) => index);
  const resources: Resources = {
    Vpc: {
      Type: "AWS::EC2::VPC",
      Properties: {
        CidrBlock: "10.0.0.0/16",
        EnableDnsSupport: true,
        EnableDnsHostnames: true,
        ...named(name),
      },
    },
    Gateway: { Type: "AWS::EC2::InternetGateway", Properties: named(name) },
    Attachment: {
      Type: "AWS::EC2::VPCGatewayAttachment",
      Properties: { VpcId: ref("Vpc"), InternetGatewayId: ref("Gateway") },
    },
    PublicTable: {
      Type: "AWS::EC2::RouteTable",
      Properties: { VpcId: ref("Vpc"), ...named(`${name} public`) },
    },
    PublicRoute: {
      Type: "AWS::EC2::Route",
      DependsOn: "Attachment",
      Properties: {
        RouteTableId: ref("PublicTable"),
        DestinationCidrBlock: "0.0.0.0/0",
        GatewayId: ref("Gateway"),
      },
    },
    SecurityGroup: {
      Type: "AWS::EC2::SecurityGroup",
      Properties: {
        GroupDescription: `livedev: ${name}`,
        VpcId: ref("Vpc"),
        SecurityGroupIngress: [{ ...ALL, CidrIp: "10.0.0.0/16" }],
        SecurityGroupEgress: [{ ...ALL, CidrIp: "0.0.0.0/0" }],
        ...named(name),
      },
    },
  };
  for (const zone of zones) {
    const place = { "Fn::Select": [zone, { "Fn::GetAZs": "" }] };
    for (const [at, kind] of (["Public", "Private"] as const).entries()) {
      resources[`${kind}${zone}`] = {
        Type: "AWS::EC2::Subnet",
        Properties: {
          VpcId: ref("Vpc"),
          AvailabilityZone: place,
          CidrBlock: `10.0.${zone * 32 + at * 16}.0/20`,
          MapPublicIpOnLaunch: kind === "Public",
          ...named(`${name} ${kind.toLowerCase()} ${zone + 1}`),
        },
      };
    }
    resources[`PublicTable${zone}`] = {
      Type: "AWS::EC2::SubnetRouteTableAssociation",
      Properties: { SubnetId: ref(`Public${zone}`), RouteTableId: ref("PublicTable") },
    };
    resources[`PrivateTable${zone}`] = {
      Type: "AWS::EC2::RouteTable",
      Properties: { VpcId: ref("Vpc"), ...named(`${name} private ${zone + 1}`) },
    };
    resources[`PrivateAssociation${zone}`] = {
      Type: "AWS::EC2::SubnetRouteTableAssociation",
      Properties: { SubnetId: ref(`Private${zone}`), RouteTableId: ref(`PrivateTable${zone}`) },
    };
    if (vpc.nat !== undefined) addNat(resources, vpc.nat, zone, name, lookup);
  }
  const all = (kind: string) => ({ "Fn::Join": [",", zones.map((zone) => ref(`${kind}${zone}`))] });
  if (vpc.bastion) addBastion(resources, name);
  return {
    template: template(
      `livedev: ${name}`,
      resources,
      {
        Id: ref("Vpc"),
        PublicSubnets: all("Public"),
        PrivateSubnets: all("Private"),
        SecurityGroups: ref("SecurityGroup"),
        ...(vpc.bastion && { Bastion: ref("Bastion") }),
      },
      imageParameters(vpc),
    ),
    parameters: {},
  };
}

type Nat = NonNullable<Extract<WantedVpc, { is: "new" }>["nat"]>;

function addNat(resources: Resources, nat: Nat, zone: number, name: string, lookup: Lookup): void {
  const given = nat.ip?.[zone] === undefined ? undefined : resolveOutputs(nat.ip[zone], lookup);
  if (given === undefined)
    resources[`NatIp${zone}`] = { Type: "AWS::EC2::EIP", Properties: { Domain: "vpc" } };
  const allocation = given ?? attribute(`NatIp${zone}`, "AllocationId");
  const route: Record<string, unknown> = {
    RouteTableId: ref(`PrivateTable${zone}`),
    DestinationCidrBlock: "0.0.0.0/0",
  };
  if (nat.type === "managed") {
    resources[`Nat${zone}`] = {
      Type: "AWS::EC2::NatGateway",
      DependsOn: "Attachment",
      Properties: {
        SubnetId: ref(`Public${zone}`),
        AllocationId: allocation,
        ...named(`${name} ${zone + 1}`),
      },
    };
    route["NatGatewayId"] = ref(`Nat${zone}`);
  } else {
    resources[`Nat${zone}`] = {
      Type: "AWS::EC2::Instance",
      DependsOn: "Attachment",
      Properties: {
        InstanceType: nat.instance,
        ImageId: nat.ami === undefined ? ref("NatImage") : resolveOutputs(nat.ami, lookup),
        SubnetId: ref(`Public${zone}`),
        SecurityGroupIds: [ref("SecurityGroup")],
        // It passes on what is not addressed to it.
        SourceDestCheck: false,
        UserData: { "Fn::Base64": NAT_SETUP },
        ...named(`${name} nat ${zone + 1}`),
      },
    };
    resources[`NatAddress${zone}`] = {
      Type: "AWS::EC2::EIPAssociation",
      Properties: { AllocationId: allocation, InstanceId: ref(`Nat${zone}`) },
    };
    route["InstanceId"] = ref(`Nat${zone}`);
  }
  resources[`PrivateRoute${zone}`] = { Type: "AWS::EC2::Route", Properties: route };
}

const NAT_SETUP = `#!/bin/sh
sysctl -w net.ipv4.ip_forward=1 > /etc/sysctl.d/90-nat.conf
yum install -y iptables-services && systemctl enable --now iptables
iptables -t nat -A POSTROUTING -o $(ip route show default | awk '{print $5}') -j MASQUERADE
iptables -F FORWARD
service iptables save
`;

/** In AWS's own list: the newest Amazon Linux of the architecture. */
const AMAZON_LINUX = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64";

function imageParameters(vpc: Extract<WantedVpc, { is: "new" }>): Record<string, unknown> {
  const image = { Type: "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", Default: AMAZON_LINUX };
  return {
    ...(vpc.nat?.type === "ec2" && vpc.nat.ami === undefined && { NatImage: image }),
    ...(vpc.bastion && { BastionImage: image }),
  };
}

function addBastion(resources: Resources, name: string): void {
  resources["BastionGroup"] = {
    Type: "AWS::EC2::SecurityGroup",
    Properties: {
      GroupDescription: `livedev: bastion of ${name}`,
      VpcId: ref("Vpc"),
      SecurityGroupIngress: [{ IpProtocol: "tcp", FromPort: 22, ToPort: 22, CidrIp: "0.0.0.0/0" }],
    },
  };
  resources["Bastion"] = {
    Type: "AWS::EC2::Instance",
    DependsOn: "Attachment",
    Properties: {
      InstanceType: "t4g.nano",
      ImageId: ref("BastionImage"),
      SubnetId: ref("Public0"),
      SecurityGroupIds: [ref("BastionGroup"), ref("SecurityGroup")],
      Tags: [
        { Key: "Name", Value: `${name} bastion` },
        { Key: "livedev:bastion", Value: name },
      ],
    },
  };
}

/** `password`: the one that the stage keeps, where the config gives none. */
export function databaseTemplate(
  database: WantedDatabase,
  app: Pick<WantedApp, "name" | "stage" | "removal">,
  password: string | undefined,
  lookup: Lookup,
): Template {
  const description = `livedev: ${app.name}-${app.stage}-${database.name}`;
  const policy = app.removal === "remove" ? "Delete" : "Snapshot";
  return database.kind === "aws.Postgres"
    ? postgres(database, { description, policy, password, lookup })
    : redis(database, { description, policy, password, lookup });
}

type How = {
  readonly description: string;
  readonly policy: "Delete" | "Snapshot";
  readonly password: string | undefined;
  readonly lookup: Lookup;
};

/** A parameter that CloudFormation shows to nobody. */
const SECRET = { Password: { Type: "String", NoEcho: true } };

function postgres(wanted: WantedPostgres, { description, policy, password, lookup }: How): Template {
  const { subnets, groups } = placed(wanted.vpc, lookup);
  const given = resolveOutputs(wanted.password, lookup) as string | null | undefined;
  const resources: Resources = {
    Subnets: {
      Type: "AWS::RDS::DBSubnetGroup",
      Properties: { DBSubnetGroupDescription: description, SubnetIds: subnets },
    },
    Database: {
      Type: "AWS::RDS::DBInstance",
      DeletionPolicy: policy,
      UpdateReplacePolicy: "Snapshot",
      Properties: {
        Engine: "postgres",
        EngineVersion: wanted.version,
        DBInstanceClass: `db.${wanted.instance}`,
        AllocatedStorage: String(wanted.storageGb),
        StorageType: "gp3",
        StorageEncrypted: true,
        MultiAZ: wanted.multiAz,
        DBName: wanted.database,
        MasterUsername: wanted.username,
        MasterUserPassword: ref("Password"),
        DBSubnetGroupName: ref("Subnets"),
        PubliclyAccessible: false,
        ...(groups.length > 0 && { VPCSecurityGroups: groups }),
      },
    },
  };
  if (wanted.proxy) addProxy(resources, wanted, subnets, groups);
  return {
    template: template(
      description,
      resources,
      {
        Id: ref("Database"),
        Host: wanted.proxy ? attribute("Proxy", "Endpoint") : attribute("Database", "Endpoint.Address"),
        Port: attribute("Database", "Endpoint.Port"),
      },
      SECRET,
    ),
    parameters: { Password: given ?? password ?? "" },
  };
}

function addProxy(
  resources: Resources,
  wanted: WantedPostgres,
  subnets: readonly string[],
  groups: readonly string[],
): void {
  resources["ProxySecret"] = {
    Type: "AWS::SecretsManager::Secret",
    Properties: {
      SecretString: { "Fn::Sub": `{"username":"${wanted.username}","password":"\${Password}"}` },
    },
  };
  resources["ProxyRole"] = {
    Type: "AWS::IAM::Role",
    Properties: {
      AssumeRolePolicyDocument: {
        Version: "2012-10-17",
        Statement: [
          { Effect: "Allow", Principal: { Service: "rds.amazonaws.com" }, Action: "sts:AssumeRole" },
        ],
      },
      Policies: [
        {
          PolicyName: "secret",
          PolicyDocument: {
            Version: "2012-10-17",
            Statement: [
              { Effect: "Allow", Action: "secretsmanager:GetSecretValue", Resource: ref("ProxySecret") },
            ],
          },
        },
      ],
    },
  };
  resources["Proxy"] = {
    Type: "AWS::RDS::DBProxy",
    Properties: {
      DBProxyName: { "Fn::Sub": "${AWS::StackName}" },
      EngineFamily: "POSTGRESQL",
      RoleArn: attribute("ProxyRole", "Arn"),
      Auth: [{ AuthScheme: "SECRETS", SecretArn: ref("ProxySecret"), IAMAuth: "DISABLED" }],
      VpcSubnetIds: subnets,
      RequireTLS: false,
      ...(groups.length > 0 && { VpcSecurityGroupIds: groups }),
    },
  };
  resources["ProxyTarget"] = {
    Type: "AWS::RDS::DBProxyTargetGroup",
    Properties: {
      DBProxyName: ref("Proxy"),
      TargetGroupName: "default",
      DBInstanceIdentifiers: [ref("Database")],
    },
  };
}

function redis(wanted: WantedRedis, { description, policy, password, lookup }: How): Template {
  const { subnets, groups } = placed(wanted.vpc, lookup);
  const { cluster } = wanted;
  return {
    template: template(
      description,
      {
        Subnets: {
          Type: "AWS::ElastiCache::SubnetGroup",
          Properties: { Description: description, SubnetIds: subnets },
        },
        Cache: {
          Type: "AWS::ElastiCache::ReplicationGroup",
          DeletionPolicy: policy,
          UpdateReplacePolicy: "Snapshot",
          Properties: {
            ReplicationGroupDescription: description,
            Engine: wanted.engine,
            EngineVersion: wanted.version,
            CacheNodeType: `cache.${wanted.instance}`,
            CacheSubnetGroupName: ref("Subnets"),
            AuthToken: ref("Password"),
            TransitEncryptionEnabled: true,
            AtRestEncryptionEnabled: true,
            ...(groups.length > 0 && { SecurityGroupIds: groups }),
            ...(cluster === false
              ? { NumCacheClusters: 1, AutomaticFailoverEnabled: false }
              : {
                  NumNodeGroups: cluster.nodes,
                  ReplicasPerNodeGroup: 0,
                  AutomaticFailoverEnabled: true,
                  CacheParameterGroupName: {
                    "Fn::Sub": `default.${wanted.engine}${family(wanted.version)}.cluster.on`,
                  },
                }),
          },
        },
      },
      {
        Id: ref("Cache"),
        Host: attribute(
          "Cache",
          cluster === false ? "PrimaryEndPoint.Address" : "ConfigurationEndPoint.Address",
        ),
        Port: attribute("Cache", cluster === false ? "PrimaryEndPoint.Port" : "ConfigurationEndPoint.Port"),
      },
      SECRET,
    ),
    parameters: { Password: password ?? "" },
  };
}

/** Of ElastiCache's parameter groups: 7.1 is of `7`. */
const family = (version: string) => version.split(".")[0] ?? version;

function placed(vpc: WantedPlacement | undefined, lookup: Lookup) {
  const list = (value: unknown): string[] => {
    const known = resolveOutputs(value, lookup);
    return Array.isArray(known) ? (known as string[]) : [];
  };
  return { subnets: list(vpc?.subnets), groups: list(vpc?.securityGroups) };
}

/** A private bucket behind CloudFront, which alone may read it. */
export function siteTemplate(site: WantedProcess): Template {
  const files = site.deploy?.by === "files" ? site.deploy : undefined;
  const index = files?.indexPage ?? "index.html";
  // S3 says 403 of what is not there, since CloudFront may not list.
  const missing = [403, 404].map((ErrorCode) => ({
    ErrorCode,
    ResponseCode: files?.errorPage === undefined ? 200 : 404,
    ResponsePagePath: `/${files?.errorPage ?? index}`,
  }));
  const origin = "files";
  return {
    parameters: {},
    template: template(
      `livedev: ${site.kind} ${site.name}`,
      {
        Files: {
          Type: "AWS::S3::Bucket",
          Properties: {
            PublicAccessBlockConfiguration: {
              BlockPublicAcls: true,
              BlockPublicPolicy: true,
              IgnorePublicAcls: true,
              RestrictPublicBuckets: true,
            },
          },
        },
        Access: {
          Type: "AWS::CloudFront::OriginAccessControl",
          Properties: {
            OriginAccessControlConfig: {
              Name: { "Fn::Sub": "${AWS::StackName}" },
              OriginAccessControlOriginType: "s3",
              SigningBehavior: "always",
              SigningProtocol: "sigv4",
            },
          },
        },
        Site: {
          Type: "AWS::CloudFront::Distribution",
          Properties: {
            DistributionConfig: {
              Enabled: true,
              HttpVersion: "http2and3",
              DefaultRootObject: index,
              Origins: [
                {
                  Id: origin,
                  DomainName: attribute("Files", "RegionalDomainName"),
                  OriginAccessControlId: attribute("Access", "Id"),
                  S3OriginConfig: { OriginAccessIdentity: "" },
                },
              ],
              DefaultCacheBehavior: {
                TargetOriginId: origin,
                ViewerProtocolPolicy: "redirect-to-https",
                Compress: true,
                // AWS's own CachingOptimized.
                CachePolicyId: "658327ea-f89d-4fab-a63d-7e88639e58f6",
              },
              CustomErrorResponses: missing,
            },
          },
        },
        Policy: {
          Type: "AWS::S3::BucketPolicy",
          Properties: {
            Bucket: ref("Files"),
            PolicyDocument: {
              Version: "2012-10-17",
              Statement: [
                {
                  Effect: "Allow",
                  Principal: { Service: "cloudfront.amazonaws.com" },
                  Action: "s3:GetObject",
                  Resource: { "Fn::Join": ["", [attribute("Files", "Arn"), "/*"]] },
                  Condition: {
                    StringEquals: {
                      "AWS:SourceArn": {
                        "Fn::Join": [
                          "",
                          [
                            "arn:",
                            ref("AWS::Partition"),
                            ":cloudfront::",
                            ref("AWS::AccountId"),
                            ":distribution/",
                            ref("Site"),
                          ],
                        ],
                      },
                    },
                  },
                },
              ],
            },
          },
        },
      },
      {
        Bucket: ref("Files"),
        Url: { "Fn::Join": ["", ["https://", attribute("Site", "DomainName")]] },
        Distribution: ref("Site"),
      },
    ),
  };
}
