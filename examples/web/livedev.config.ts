import { $config, aws } from "livedev";

/** A function, two frontends and a service of another language: `livedev dev` runs them all. */
export default $config({
  app: () => ({ name: "web", home: "local" }),
  async run() {
    const files = new aws.Bucket("Files");
    const api = new aws.Function("Api", {
      handler: "src/api.handler",
      link: [files],
      url: { cors: { allowOrigins: ["*"] } },
    });
    const clock = new aws.Service("Clock", {
      link: [files],
      environment: { PORT: "8177" },
      dev: { command: "go run .", directory: "clock", url: "http://localhost:8177" },
    });
    const web = new aws.StaticSite("Web", {
      path: "web",
      link: [clock],
      environment: { VITE_API_URL: api.url, VITE_CLOCK_URL: clock.url },
      build: { command: "npm run build", output: "dist" },
    });
    const docs = new aws.Astro("Docs", { path: "docs", link: [files], environment: { API_URL: api.url } });
    return { web: web.url, docs: docs.url };
  },
});
