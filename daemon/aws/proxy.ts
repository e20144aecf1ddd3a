/** HTTPS_PROXY, as most programs read it: also in small letters, and not for the hosts of NO_PROXY. */
import { HttpsProxyAgent } from "https-proxy-agent";

type Environment = Readonly<Record<string, string | undefined>>;

/** For an https endpoint; undefined: straight. Plain http is a server on this machine or near it, and goes straight. */
export function proxyFor(host: string, environment: Environment = process.env): string | undefined {
  const read = (name: string) => environment[name] ?? environment[name.toUpperCase()];
  const proxy = read("https_proxy") ?? read("all_proxy");
  if (proxy === undefined || proxy === "") return undefined;
  return exempt(host, read("no_proxy") ?? "") ? undefined : proxy;
}

/** `example.com` and `.example.com` stand for it and all below it; `*` for every host. */
function exempt(host: string, list: string): boolean {
  return list
    .split(/[\s,]+/)
    .map((entry) => entry.replace(/^\*?\./, "").replace(/:\d+$/, ""))
    .some((entry) => entry !== "" && (entry === "*" || host === entry || host.endsWith(`.${entry}`)));
}

export function proxyAgent(proxy: string): HttpsProxyAgent<string> {
  // Without a scheme it is plain http, as for curl.
  return new HttpsProxyAgent(/^\w+:\/\//.test(proxy) ? proxy : `http://${proxy}`, { keepAlive: true });
}
