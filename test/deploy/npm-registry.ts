/** A registry that npm installs from while no other can be reached: packages as folders are, of one version each. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";

export type TestPackage = {
  readonly manifest: { readonly name: string; readonly version: string; readonly [more: string]: unknown };
  readonly main: string;
};

/** npm asks it for as long as the test runs. */
export async function openRegistry(t: Test, packages: readonly TestPackage[]): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "livedev-npm-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const archives = new Map(
    packages.map((one) => [one.manifest.name, archive(join(dir, one.manifest.name), one)]),
  );
  const server = createServer(({ url = "" }, answer) => {
    const [name = "", file] = decodeURIComponent(url.slice(1)).split("/-/");
    const found = packages.find(({ manifest }) => manifest.name === name);
    if (found === undefined) {
      answer.writeHead(404).end();
      return;
    }
    if (file !== undefined) {
      answer.end(archives.get(name));
      return;
    }
    const { version } = found.manifest;
    const tarball = `${address()}/${name}/-/${name}-${version}.tgz`;
    const versions = { [version]: { ...found.manifest, dist: { tarball } } };
    answer.end(JSON.stringify({ name, "dist-tags": { latest: version }, versions }));
  });
  const address = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const settings = { npm_config_registry: address(), npm_config_cache: join(dir, "cache") };
  const before = { ...process.env };
  Object.assign(process.env, settings);
  t.teardown(() => {
    for (const name of Object.keys(settings)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  });
}

function archive(folder: string, { manifest, main }: TestPackage): Buffer {
  mkdirSync(join(folder, "package"), { recursive: true });
  writeFileSync(join(folder, "package", "package.json"), JSON.stringify(manifest));
  writeFileSync(join(folder, "package", "index.js"), main);
  return execFileSync("tar", ["-czf", "-", "-C", folder, "package"]);
}
